//! What the stores say of themselves, asked through the doors that the services use.

use super::facts::{Answer, Postgres, Redis};
use kit::{
    env::Env,
    kv::{Cmd, Kv, Redis as RedisStore, RedisConfig},
};
use secrecy::SecretString;
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Longest wait for one store.
const ASK_FOR: Duration = Duration::from_secs(8);

/// Answer and how far its clock is ahead, in milliseconds.
pub(super) async fn postgres(url: &str) -> (Answer<Postgres>, Option<i64>) {
    match tokio::time::timeout(ASK_FOR, ask_postgres(url)).await {
        Ok(Ok((said, ahead))) => (Ok(said), Some(ahead)),
        Ok(Err(why)) => (Err(why), None),
        Err(_) => (Err(format!("no answer within {ASK_FOR:?}")), None),
    }
}

async fn ask_postgres(url: &str) -> Result<(Postgres, i64), String> {
    let client = kit::pg::direct(&SecretString::from(url.to_owned())).await?;
    let text = |error: tokio_postgres::Error| kit::telemetry::chain(&error);
    let sql = "select coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false), \
               (extract(epoch from clock_timestamp()) * 1000)::bigint, \
               to_regclass('refinery_schema_history') is not null";
    let row = client.query_typed(sql, &[]).await.map_err(text)?.pop().ok_or("no row came")?;
    let ahead = row.get::<_, i64>(1).saturating_sub(now_ms());
    let migration = if row.get::<_, bool>(2) {
        let sql = "select max(version)::int from refinery_schema_history";
        client.query_typed(sql, &[]).await.map_err(text)?.pop().and_then(|row| row.get::<_, Option<i32>>(0))
    } else {
        None
    };
    let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    Ok((Postgres { migration, tls: row.get(0), local: is_local(&host) }, ahead))
}

/// Answer and how far its clock is ahead, in milliseconds.
pub(super) async fn redis(settings: &BTreeMap<String, String>) -> (Answer<Redis>, Option<i64>) {
    match tokio::time::timeout(ASK_FOR, ask_redis(settings)).await {
        Ok(Ok((said, ahead))) => (Ok(said), Some(ahead)),
        Ok(Err(why)) => (Err(why), None),
        Err(_) => (Err(format!("no answer within {ASK_FOR:?}")), None),
    }
}

async fn ask_redis(settings: &BTreeMap<String, String>) -> Result<(Redis, i64), String> {
    let mut env = Env::new(settings.clone());
    let config = RedisConfig::read(&mut env);
    env.finish(()).map_err(|mistakes| mistakes.to_string())?;
    let kv = RedisStore::connect(&config).await?;
    kv.ping().await.map_err(|error| format!("{error} (wrong address or password, or not up)"))?;
    let info = info(&kv).await?;
    let get = |name: &str| info.get(name).map(String::as_str).unwrap_or_default();
    let number = |name: &str| get(name).parse::<u64>().ok();
    let seconds = kv
        .one(Cmd::new("TIME"))
        .await
        .ok()
        .and_then(|reply| reply.list().ok())
        .and_then(|parts| parts.first().and_then(|part| part.text().and_then(|text| text.parse::<i64>().ok())));
    let now = now_ms();
    let saved = number("rdb_last_save_time").filter(|at| *at > 0 && get("rdb_last_bgsave_status") == "ok");
    let saves = get("rdb_saves").parse::<u64>().unwrap_or(1) > 0;
    let named = |name: &str| settings.get(name).filter(|value| !value.is_empty()).cloned();
    let url = named("REDIS_URL");
    let host = match &url {
        Some(url) => url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default(),
        None => named("REDIS_ADDR")
            .unwrap_or_default()
            .rsplit_once(':')
            .map(|(host, _)| host.to_owned())
            .unwrap_or_default(),
    };
    let said = Redis {
        aof: get("aof_enabled") == "1",
        last_save_seconds: saved
            .filter(|_| saves)
            .and_then(|at| u64::try_from(now / 1000).ok().map(|now| now.saturating_sub(at))),
        policy: get("maxmemory_policy").to_owned(),
        maxmemory: number("maxmemory").unwrap_or_default(),
        role: get("role").to_owned(),
        local: is_local(&host),
        tls: url.is_some_and(|url| url.starts_with("rediss")),
    };
    // TIME has whole seconds in its first part; half a second is the best guess.
    let ahead = seconds.map_or(0, |at| at.saturating_mul(1000).saturating_add(500).saturating_sub(now));
    Ok((said, if ahead.abs() <= 500 { 0 } else { ahead }))
}

async fn info(kv: &Kv) -> Result<BTreeMap<String, String>, String> {
    let reply = kv.one(Cmd::new("INFO")).await.map_err(|error| error.to_string())?;
    let text = reply.text().ok_or("INFO was answered by no text")?;
    Ok(text.lines().filter_map(|line| line.trim().split_once(':')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Unix milliseconds.
pub(super) fn now_ms() -> i64 {
    i64::try_from(kit::clock::unix_ms()).unwrap_or(i64::MAX)
}
