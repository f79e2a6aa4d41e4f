use super::*;
use crate::doctor::{
    facts::{Certificate, Node, Path, Port, Postgres, Redis, Service},
    hook_lines,
};

const STRONG: [&str; 4] = [
    "f3a9c1d5e7b80246f3a9c1d5e7b80246aa",
    "0b1c2d3e4f5a69788796a5b4c3d2e1f00f",
    "9e8d7c6b5a4938271605f4e3d2c1b0a9bc",
    "7f6e5d4c3b2a19080716253443526170de",
];

/// A cluster as it should be.
fn well() -> Facts {
    let settings = [
        ("JWT_SECRET", STRONG[0].to_owned()),
        ("REDIS_ADDR", "127.0.0.1:6379".to_owned()),
        ("REDIS_PASSWORD", STRONG[1].to_owned()),
        ("NODES_BOOTSTRAP", format!("srs-0:{}", STRONG[2])),
        ("DATABASE_URL", format!("postgres://u:{}@127.0.0.1/k", STRONG[3])),
        ("EDGE_BASE_URL", "https://media.example".to_owned()),
        ("RTMP_BASE_URL", "rtmp://media.example:1935".to_owned()),
        ("CONTROL_API_CORS_ORIGINS", "https://media.example".to_owned()),
        ("WEBRTC_PUBLIC_ADDR", "203.0.113.7".to_owned()),
    ];
    let service = |kind, id: &str| Service {
        kind,
        id: id.to_owned(),
        version: "0.1.0".to_owned(),
        answers: vec![("/healthz", Ok(200)), ("/readyz", Ok(200)), ("/metrics", Ok(200))],
        ..Service::default()
    };
    let node = Node {
        id: "srs-0".to_owned(),
        state: "up".to_owned(),
        version: "5.0.216".to_owned(),
        silent_ms: Some(900),
        ..Node::default()
    };
    let hook = "http://10.0.0.1:8082/v1/hooks/srs/srs-0/x;";
    let conf: String = ["connect", "close", "publish", "unpublish", "play", "stop", "hls"]
        .map(|name| format!("on_{name} {hook}\n"))
        .concat();
    Facts {
        settings: settings.map(|(name, value)| (name.to_owned(), value)).into(),
        postgres: Some(Ok(Postgres { migration: Some(MIGRATION), tls: false, local: true })),
        redis: Some(Ok(Redis {
            aof: true,
            policy: "noeviction".to_owned(),
            role: "master".to_owned(),
            local: true,
            ..Redis::default()
        })),
        nodes: Some(Ok(vec![node])),
        services: Some(Ok(vec![
            service("control", "c1"),
            service("control", "c2"),
            service("edge", "e1"),
            service("edge", "e2"),
        ])),
        srs_confs: vec![(
            "srs.conf".to_owned(),
            hook_lines(&format!("heartbeat {{\nurl http://10.0.0.1:8082/x;\n}}\n{conf}")),
        )],
        tls: vec![("https://media.example".to_owned(), Ok(Certificate { not_after: 90 * 86_400 }))],
        paths: vec![Path { what: "the page", url: "https://media.example/".to_owned(), wanted: &[200], got: Ok(200) }],
        ports: vec![Port {
            what: "RTMP".to_owned(),
            at: "media.example:1935/tcp".to_owned(),
            open: true,
            got: Ok(true),
        }],
        clocks: vec![("Postgres".to_owned(), 12)],
        disks: vec![("/".to_owned(), 50 << 30, 100 << 30)],
        now: 0,
        ..Facts::default()
    }
}

#[test]
fn a_cluster_as_it_should_be_is_clean() {
    let findings = judge(&well());
    let wrong: Vec<_> = findings.iter().filter(|finding| finding.verdict != Verdict::Ok).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(findings.len() >= 16, "{}", findings.len());
}

type Damage = fn(&mut Facts);

fn node(facts: &mut Facts) -> &mut Node {
    facts.nodes.as_mut().unwrap().as_mut().unwrap().first_mut().unwrap()
}

fn set(facts: &mut Facts, name: &str, value: &str) {
    facts.settings.insert(name.to_owned(), value.to_owned());
}

#[test]
fn each_fault_is_found_by_its_check_with_a_remedy() {
    let cases: [(&str, Verdict, Damage); 26] = [
        ("secrets", Verdict::Fail, |f| set(f, "JWT_SECRET", "change-me-change-me-change-me-change-me")),
        ("secrets", Verdict::Fail, |f| set(f, "REDIS_PASSWORD", "short")),
        ("secrets", Verdict::Fail, |f| set(f, "EDGE_SECRET", STRONG[0])),
        ("secrets", Verdict::Fail, |f| set(f, "NODES_BOOTSTRAP", "srs-0:aaaaaaaaaaaaaaaaaaaaaaaa")),
        ("secrets", Verdict::Fail, |f| drop(f.settings.remove("JWT_SECRET"))),
        ("postgres", Verdict::Fail, |f| f.postgres = Some(Err("refused".to_owned()))),
        ("postgres", Verdict::Fail, |f| f.postgres.as_mut().unwrap().as_mut().unwrap().local = false),
        ("migrations", Verdict::Fail, |f| f.postgres.as_mut().unwrap().as_mut().unwrap().migration = Some(1)),
        ("redis-persist", Verdict::Fail, |f| f.redis.as_mut().unwrap().as_mut().unwrap().aof = false),
        ("redis-evict", Verdict::Fail, |f| {
            let redis = f.redis.as_mut().unwrap().as_mut().unwrap();
            (redis.policy, redis.maxmemory) = ("allkeys-lru".to_owned(), 1 << 20);
        }),
        ("redis", Verdict::Fail, |f| f.redis.as_mut().unwrap().as_mut().unwrap().role = "slave".to_owned()),
        ("tls", Verdict::Fail, |f| f.tls[0].1 = Err("certificate expired".to_owned())),
        ("tls", Verdict::Warn, |f| f.tls[0].1 = Ok(Certificate { not_after: 5 * 86_400 })),
        ("urls", Verdict::Fail, |f| set(f, "EDGE_BASE_URL", "http://media.example")),
        ("urls", Verdict::Fail, |f| set(f, "RTMP_BASE_URL", "rtmp://127.0.0.1:1935")),
        ("urls", Verdict::Fail, |f| set(f, "HLS_BASE_URL", "http://media.example")),
        ("cors", Verdict::Fail, |f| set(f, "CONTROL_API_CORS_ORIGINS", "https://other.example")),
        ("cors", Verdict::Fail, |f| set(f, "CONTROL_API_CORS_ORIGINS", "*")),
        ("paths", Verdict::Fail, |f| f.paths[0].got = Ok(502)),
        ("hooks", Verdict::Fail, |f| f.srs_confs[0].1.heartbeat = Some("http://control-api:8081/x".to_owned())),
        ("candidate", Verdict::Fail, |f| set(f, "WEBRTC_PUBLIC_ADDR", "127.0.0.1")),
        ("ports", Verdict::Fail, |f| f.ports[0].got = Ok(false)),
        ("nodes", Verdict::Fail, |f| node(f).silent_ms = Some(60_000)),
        ("services", Verdict::Fail, |f| f.services.as_mut().unwrap().as_mut().unwrap()[2].answers[1].1 = Ok(503)),
        ("clock", Verdict::Fail, |f| f.clocks.push(("Redis".to_owned(), -30_000))),
        ("disk", Verdict::Fail, |f| f.disks[0].1 = 100 << 20),
    ];
    for (check, verdict, damage) in cases {
        let mut facts = well();
        damage(&mut facts);
        let findings = judge(&facts);
        let found = findings.iter().find(|finding| finding.check == check && finding.verdict == verdict);
        let found = found.unwrap_or_else(|| panic!("{check} was not found: {findings:#?}"));
        assert!(!found.remedy.is_empty() && !STRONG.iter().any(|secret| found.reason.contains(secret)), "{found:?}");
    }
}

#[test]
fn what_could_not_be_asked_is_never_well() {
    let findings = judge(&Facts::default());
    let well: Vec<_> = findings.iter().filter(|f| f.verdict == Verdict::Ok).map(|f| f.check).collect();
    // No CORS setting means the page's own origin; no relay setting means the edge's own address.
    assert_eq!(well, ["cors", "candidate"]);
}

#[test]
fn the_newest_migration_is_the_one_in_the_tree() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../control/migrations");
    let number = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().to_string_lossy().split('_').next().unwrap().parse::<i32>().unwrap()
    };
    assert_eq!(std::fs::read_dir(folder).unwrap().map(number).max(), Some(MIGRATION));
}
