//! What the operator says of a media node: the row of `nodes`.

use super::Invalid;
use proto::{
    NodeId,
    api::{EnrolNode, UpdateNode},
    node::{NodeAddresses, NodeLimits, parse_endpoint},
    secret::{same, sha256_hex},
};
use std::net::IpAddr;
use time::{Duration, OffsetDateTime};

/// How long a node's secret goes on beside its successor when nothing else is said.
pub const SECRET_OVERLAP: Duration = Duration::hours(24);
/// Longest such time, in seconds: 7 days.
pub const SECRET_OVERLAP_SECONDS_MAX: u32 = 604_800;
/// Nodes of one cluster; what the ring was measured with (placement/).
pub const NODES_MAX: i64 = 1_000;
/// Public addresses of one node.
pub const PUBLIC_MAX: usize = 8;
/// Longest zone, in characters.
pub const ZONE_CHARS_MAX: usize = 64;
/// Highest weight.
pub const WEIGHT_MAX: u8 = 100;
/// Characters of a secret made here, out of 36: 165 bits.
pub const SECRET_LEN: usize = 32;

/// One enrolled node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Its id, SRS's `server_id`.
    pub id: NodeId,
    /// Where it is; `None` for a node of `NODES_BOOTSTRAP`, whose heartbeat says so.
    pub at: Option<NodeAddresses>,
    /// Its SRT port has a passphrase; told apart from `at`, which heartbeats may say, for those do not tell of it.
    pub srt_encrypted: bool,
    /// Addresses clients may reach it at directly.
    pub public: Vec<String>,
    /// Its share of the streams, 1 to 100.
    pub weight: u8,
    /// Where it stands.
    pub zone: Option<String>,
    /// What it may carry.
    pub limits: NodeLimits,
    /// What its hooks and heartbeats show.
    pub secrets: NodeSecrets,
    /// Since when it takes no new streams.
    pub cordoned_at: Option<OffsetDateTime>,
    /// When what is left on it is kicked.
    pub drain_deadline: Option<OffsetDateTime>,
    /// When it was enrolled.
    pub created_at: OffsetDateTime,
}

impl Enrolment {
    /// A node of which the operator said no more than id and secret (`NODES_BOOTSTRAP`).
    #[must_use]
    pub fn bare(id: NodeId, secret: &str, now: OffsetDateTime) -> Self {
        Self {
            id,
            at: None,
            srt_encrypted: false,
            public: Vec::new(),
            weight: 1,
            zone: None,
            limits: NodeLimits::default(),
            secrets: NodeSecrets { current: sha256_hex(secret.as_bytes()), previous: None },
            cordoned_at: None,
            drain_deadline: None,
            created_at: now,
        }
    }

    /// A node as it is asked for.
    ///
    /// # Errors
    /// The value that breaks a rule.
    pub fn asked(asked: &EnrolNode, secret: &str, now: OffsetDateTime) -> Result<Self, Invalid> {
        let zone = asked.zone.clone().filter(|zone| !zone.is_empty());
        let made = Self {
            at: asked.at.clone(),
            srt_encrypted: asked.at.as_ref().is_some_and(|at| at.srt_encrypted),
            public: asked.public.clone(),
            weight: asked.weight,
            zone,
            limits: asked.limits,
            ..Self::bare(asked.id.clone(), secret, now)
        };
        made.check().map(|()| made)
    }

    /// The node with what is asked for changed.
    ///
    /// # Errors
    /// The value that breaks a rule.
    pub fn changed(mut self, asked: &UpdateNode) -> Result<Self, Invalid> {
        if let Some(at) = &asked.at {
            self.at = Some(at.clone());
            self.srt_encrypted = at.srt_encrypted;
        }
        if let Some(public) = &asked.public {
            self.public.clone_from(public);
        }
        if let Some(zone) = &asked.zone {
            self.zone = Some(zone.clone()).filter(|zone| !zone.is_empty());
        }
        self.weight = asked.weight.unwrap_or(self.weight);
        self.limits = asked.limits.unwrap_or(self.limits);
        self.check().map(|()| self)
    }

    fn check(&self) -> Result<(), Invalid> {
        let broken = |field, rule| Err(Invalid { field, rule });
        if !(1..=WEIGHT_MAX).contains(&self.weight) {
            return broken("weight", "must be 1 to 100");
        }
        let plain = |zone: &String| zone.chars().count() <= ZONE_CHARS_MAX && !zone.chars().any(char::is_control);
        if !self.zone.as_ref().is_none_or(plain) {
            return broken("zone", "must have at most 64 characters and no control characters");
        }
        if self.public.len() > PUBLIC_MAX || !self.public.iter().all(|text| is_public(text)) {
            return broken("public", "must be at most 8 of `ip`, `ip:port` or `name:port`");
        }
        limits(&self.limits)?;
        self.at.as_ref().map_or(Ok(()), addresses)
    }
}

fn is_public(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || parse_endpoint(text).is_some()
}

/// Postgres keeps them as signed numbers.
fn limits(limits: &NodeLimits) -> Result<(), Invalid> {
    let small = |max: Option<u32>| max.is_none_or(|max| max > 0 && i32::try_from(max).is_ok());
    let rule = "must be 1 to 2147483647, or absent for no limit";
    if !small(limits.streams) {
        return Err(Invalid { field: "limits.streams", rule });
    }
    if !small(limits.clients) {
        return Err(Invalid { field: "limits.clients", rule });
    }
    if limits.bandwidth_kbps.is_some_and(|max| max == 0 || i64::try_from(max).is_err()) {
        return Err(Invalid { field: "limits.bandwidth_kbps", rule: "must be at least 1, or absent for no limit" });
    }
    Ok(())
}

fn addresses(at: &NodeAddresses) -> Result<(), Invalid> {
    let all = [
        ("at.api", Some(&at.api)),
        ("at.http", at.http.as_ref()),
        ("at.rtmp", at.rtmp.as_ref()),
        ("at.srt", at.srt.as_ref()),
        ("at.rtc", at.rtc.as_ref()),
    ];
    let broken = all.into_iter().find(|(_, text)| text.is_some_and(|text| parse_endpoint(text).is_none()));
    match broken {
        Some((field, _)) => {
            Err(Invalid { field, rule: "must be host:port, such as 10.0.0.5:1985 or [2001:db8::1]:1985" })
        }
        None => Ok(()),
    }
}

/// Checks the overlap of a rotation.
///
/// # Errors
/// [`Invalid`] with the rule.
pub fn overlap(seconds: Option<u32>) -> Result<Duration, Invalid> {
    match seconds {
        None => Ok(SECRET_OVERLAP),
        Some(seconds) if seconds <= SECRET_OVERLAP_SECONDS_MAX => Ok(Duration::seconds(i64::from(seconds))),
        Some(_) => Err(Invalid { field: "overlap_seconds", rule: "must be at most 604800 (7 days)" }),
    }
}

/// Where a node sends hooks and heartbeats: what was asked for, else `own`, this process's URL. SRS looks names up on its only thread and all
/// media waits meanwhile, so both must be numeric.
///
/// # Errors
/// A name, or no `ip:port` at all.
pub fn hooks_base(asked: Option<&str>, own: &str) -> Result<String, Invalid> {
    const RULE: &str = "must be ip:port with a numeric address: SRS would stop all media while it looks up a name";
    let numeric = |text: &str| parse_endpoint(text).is_some_and(|(host, _)| host.parse::<IpAddr>().is_ok());
    match asked {
        Some(text) if numeric(text) => Ok(format!("http://{text}")),
        None if own.strip_prefix("http://").is_some_and(numeric) => Ok(own.to_owned()),
        Some(_) | None => Err(Invalid { field: "hooks_to", rule: RULE }),
    }
}

/// The lines for a node's `srs.conf`.
#[must_use]
pub fn srs_conf(id: &NodeId, secret: &str, base: &str) -> String {
    let hook = format!("{base}/v1/hooks/srs/{id}/{secret}");
    let hooks = ["on_connect", "on_close", "on_publish", "on_unpublish", "on_play", "on_stop"];
    let hooks: String = hooks.iter().map(|name| format!("        {name:<15} {hook};\n")).collect();
    format!(
        "server_id               {id};\nheartbeat {{\n    enabled             on;\n    interval            2;\n    \
         url                 {base}/v1/hooks/heartbeat/{id}/{secret};\n    device_id           {id};\n    summaries           on;\n    \
         ports               on;\n}}\nvhost __defaultVhost__ {{\n    http_hooks {{\n        enabled         on;\n{hooks}    }}\n}}\n"
    )
}

/// SHA-256 of a node's secrets, hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSecrets {
    /// The present one.
    pub current: String,
    /// The one before, and how long it is still taken.
    pub previous: Option<(String, OffsetDateTime)>,
}

impl NodeSecrets {
    /// Whether a node that shows `secret` is the one. Takes the same time wherever the two differ.
    #[must_use]
    pub fn accept(&self, secret: &str, now: OffsetDateTime) -> bool {
        let shown = sha256_hex(secret.as_bytes());
        let is = |hash: &str| same(hash.as_bytes(), shown.as_bytes());
        is(&self.current) || self.previous.as_ref().is_some_and(|(hash, until)| now < *until && is(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_secret_is_taken_until_its_time() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let mut node = Enrolment::bare(NodeId::parse("n1").unwrap(), "old-secret", now);
        assert!(node.secrets.accept("old-secret", now) && !node.secrets.accept("", now));
        let old = std::mem::replace(&mut node.secrets.current, sha256_hex(b"new-secret"));
        assert!(!node.secrets.accept("old-secret", now));
        node.secrets.previous = Some((old.clone(), now + SECRET_OVERLAP));
        assert!(node.secrets.accept("old-secret", now) && node.secrets.accept("new-secret", now));
        assert!(!node.secrets.accept("old-secret", now + SECRET_OVERLAP), "its time is over");
        assert!(!node.secrets.accept(&old, now), "the hash is not the secret");
    }

    fn asked(json: &str) -> Result<Enrolment, Invalid> {
        let asked = serde_json::from_str(json).unwrap();
        Enrolment::asked(&asked, "secret", OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn what_is_asked_for_is_checked_value_by_value() {
        let made =
            asked(r#"{"id":"n1","at":{"api":"[2001:db8::1]:1985"},"public":["192.0.2.1","h.example:8000"],"zone":""}"#);
        let made = made.unwrap();
        assert_eq!((made.weight, made.zone.clone(), made.public.len()), (1, None, 2));
        for (field, json) in [
            ("at.api", r#""at":{"api":"10.0.0.5"}"#),
            ("at.srt", r#""at":{"api":"h:1","srt":"udp://h:1"}"#),
            ("weight", r#""weight":0"#),
            ("weight", r#""weight":101"#),
            ("zone", r#""zone":"a\u0007""#),
            ("public", r#""public":["not an address"]"#),
            ("public", r#""public":["::1","::1","::1","::1","::1","::1","::1","::1","::1"]"#),
            ("limits.streams", r#""limits":{"streams":0}"#),
            ("limits.clients", r#""limits":{"clients":2147483648}"#),
            ("limits.bandwidth_kbps", r#""limits":{"bandwidth_kbps":0}"#),
        ] {
            assert_eq!(asked(&format!(r#"{{"id":"n1",{json}}}"#)).unwrap_err().field, field, "{json}");
        }
        let change: UpdateNode = serde_json::from_str(r#"{"weight":9,"zone":"b"}"#).unwrap();
        let changed = made.clone().changed(&change).unwrap();
        assert_eq!((changed.weight, changed.zone.as_deref(), &changed.at), (9, Some("b"), &made.at));
        assert!(made.changed(&UpdateNode { weight: Some(0), ..change }).is_err());
        assert_eq!(overlap(None), Ok(SECRET_OVERLAP));
        assert!(overlap(Some(604_801)).is_err());
    }

    #[test]
    fn hooks_go_to_numbers() {
        let own = "http://10.0.0.4:8081";
        assert_eq!(hooks_base(None, own).as_deref(), Ok(own));
        assert_eq!(hooks_base(Some("192.0.2.9:80"), own).as_deref(), Ok("http://192.0.2.9:80"));
        assert_eq!(hooks_base(Some("[::1]:80"), own).as_deref(), Ok("http://[::1]:80"));
        for asked in ["control:8081", "192.0.2.9", "http://192.0.2.9:80", "192.0.2.9:80/x", ""] {
            assert!(hooks_base(Some(asked), own).is_err(), "{asked}");
        }
        assert!(hooks_base(None, "http://control.svc:8081").is_err());
        let conf = srs_conf(&NodeId::parse("n1").unwrap(), "s3cret", own);
        assert!(conf.contains("url                 http://10.0.0.4:8081/v1/hooks/heartbeat/n1/s3cret;\n"), "{conf}");
        assert!(conf.contains("on_publish      http://10.0.0.4:8081/v1/hooks/srs/n1/s3cret;\n"), "{conf}");
    }
}
