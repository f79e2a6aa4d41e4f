//! The checklist. Pure: facts in, findings out.

mod addresses;
mod parts;
mod secrets;

use super::facts::{Answer, Facts};

/// Newest migration of control-api; a test compares it with `control/migrations/`.
pub const MIGRATION: i32 = 7;
/// Days before a certificate's end at which somebody should look.
const CERTIFICATE_DAYS: i64 = 14;
/// A clock that is off by more makes tokens and the gossip's lag wrong.
const CLOCK_FAIL_MS: i64 = 10_000;
const CLOCK_WARN_MS: i64 = 1_000;
/// Bytes of a disk that must be free, and a share of it, in per cent, that should be unless this much is.
const DISK_FREE_BYTES: u64 = 1 << 30;
const DISK_FREE_PERCENT: u64 = 10;
const DISK_ROOMY_BYTES: u64 = 10 << 30;
/// A snapshot older than this is no persistence.
const SNAPSHOT_SECONDS_MAX: u64 = 3_600;

/// How it stands with one point of the checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Well.
    Ok,
    /// Works, and somebody should look.
    Warn,
    /// Wrong.
    Fail,
    /// Could not be looked at.
    Skipped,
}

impl Verdict {
    /// The word in both outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skipped => "skipped",
        }
    }
}

/// One point of the checklist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name, stable.
    pub check: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// What to do; empty when there is nothing.
    pub remedy: String,
}

fn finding(check: &'static str, verdict: Verdict, reason: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { check, verdict, reason: reason.into(), remedy: remedy.into() }
}

fn ok(check: &'static str, reason: impl Into<String>) -> Finding {
    finding(check, Verdict::Ok, reason, "")
}

fn fail(check: &'static str, reason: impl Into<String>, remedy: impl Into<String>) -> Finding {
    finding(check, Verdict::Fail, reason, remedy)
}

fn warn(check: &'static str, reason: impl Into<String>, remedy: impl Into<String>) -> Finding {
    finding(check, Verdict::Warn, reason, remedy)
}

fn skipped(check: &'static str, reason: impl Into<String>) -> Finding {
    finding(check, Verdict::Skipped, reason, "")
}

/// Goes through the whole checklist, in the order of docs/hosting.md.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut all = secrets::judge(facts);
    all.extend(postgres(facts));
    all.extend(redis(facts));
    all.extend(tls(facts));
    all.extend(addresses::judge(facts));
    all.extend(parts::judge(facts));
    all.extend(clocks(facts));
    all.extend(disks(facts));
    all
}

/// The answer, or the one finding that says why there is none.
fn answered<'a, T>(
    check: &'static str,
    answer: Option<&'a Answer<T>>,
    unasked: &str,
    remedy: &str,
) -> Result<&'a T, Finding> {
    match answer {
        None => Err(skipped(check, unasked)),
        Some(Err(why)) => Err(fail(check, why.clone(), remedy)),
        Some(Ok(value)) => Ok(value),
    }
}

fn postgres(facts: &Facts) -> Vec<Finding> {
    let answer = facts.postgres.as_ref();
    let remedy = "check DATABASE_URL (user, password, host, sslmode) and that Postgres takes connections from here";
    let said = match answered("postgres", answer, "DATABASE_URL is not among the settings", remedy) {
        Ok(said) => said,
        Err(finding) => return vec![finding, skipped("migrations", "Postgres was not asked")],
    };
    let connection = match (said.tls, said.local) {
        (true, _) => ok("postgres", "answers, over TLS with a verified certificate"),
        (false, true) => ok("postgres", "answers, on this machine"),
        (false, false) => fail(
            "postgres",
            "answers without TLS, on another machine: everything goes over the network in the clear",
            "add sslmode=verify-full to DATABASE_URL; inside a private container network, sslmode=disable says that it is meant",
        ),
    };
    let connection = match (connection.verdict, facts.setting("DATABASE_URL")) {
        (Verdict::Fail, Some(url)) if url.contains("sslmode=disable") => warn(
            "postgres",
            "answers without TLS, as sslmode=disable says",
            "use sslmode=verify-full unless the network is private",
        ),
        _ => connection,
    };
    let migrations = match said.migration {
        Some(at) if at == MIGRATION => ok("migrations", format!("at {at}, the newest")),
        Some(at) if at > MIGRATION => warn(
            "migrations",
            format!("the database is at {at}, this doctor knows {MIGRATION}"),
            "use the doctor of the version that runs",
        ),
        Some(at) => fail(
            "migrations",
            format!("at {at}, {MIGRATION} is the newest"),
            "run `control-api migrate` (make migrate)",
        ),
        None => {
            fail("migrations", "the database has no tables of Keystone", "run `control-api migrate` (make migrate)")
        }
    };
    vec![connection, migrations]
}

fn redis(facts: &Facts) -> Vec<Finding> {
    let remedy = "check REDIS_ADDR, REDIS_PASSWORD or REDIS_URL, and that Redis takes connections from here";
    let unasked = "neither REDIS_ADDR nor REDIS_URL is among the settings";
    let said = match answered("redis", facts.redis.as_ref(), unasked, remedy) {
        Ok(said) => said,
        Err(finding) => return vec![finding],
    };
    let mut found = vec![match (said.tls, said.local, said.role.as_str()) {
        (_, _, role) if role != "master" => {
            fail("redis", format!("it is a {role}"), "point at the primary, or at Sentinel")
        }
        (false, false, _) => {
            warn("redis", "answers without TLS, on another machine", "use rediss:// unless the network is private")
        }
        (true, ..) => ok("redis", "answers, over TLS"),
        (false, true, _) => ok("redis", "answers, on this machine"),
    }];
    let old = said.last_save_seconds.is_none_or(|seconds| seconds > SNAPSHOT_SECONDS_MAX);
    found.push(match (said.aof, old) {
        (true, _) => ok("redis-persist", "writes every change down (appendonly)"),
        (false, false) => {
            warn("redis-persist", "snapshots only: up to an hour of revocations may be lost", "appendonly yes")
        }
        (false, true) => {
            fail("redis-persist", "keeps nothing over a restart", "appendonly yes, or a managed Redis with persistence")
        }
    });
    found.push(match said.policy.as_str() {
        "noeviction" => ok("redis-evict", "never evicts (noeviction)"),
        policy if said.maxmemory == 0 => ok("redis-evict", format!("no memory limit, so {policy} never evicts")),
        policy => fail(
            "redis-evict",
            format!(
                "evicts keys when memory is short ({policy}): valid tokens stop working, revoked ones may come back"
            ),
            "maxmemory-policy noeviction, and memory for all keys",
        ),
    });
    found
}

fn tls(facts: &Facts) -> Vec<Finding> {
    if facts.tls.is_empty() {
        return vec![skipped("tls", "no public address is https")];
    }
    let judge = |(url, answer): &(String, Answer<super::facts::Certificate>)| match answer {
        Err(why) => {
            fail("tls", format!("{url}: {why}"), "give Caddy a domain, or the Ingress a certificate that clients trust")
        }
        Ok(certificate) => {
            let days = certificate.not_after.saturating_sub(facts.now) / 86_400;
            if days < CERTIFICATE_DAYS {
                warn(
                    "tls",
                    format!("{url}: the certificate ends in {days} days"),
                    "see why it is not renewed by itself",
                )
            } else {
                ok("tls", format!("{url}: verified, {days} days left"))
            }
        }
    };
    facts.tls.iter().map(judge).collect()
}

fn clocks(facts: &Facts) -> Vec<Finding> {
    let Some((who, off)) = facts.clocks.iter().max_by_key(|(_, off)| off.abs()) else {
        return vec![skipped("clock", "nobody told the time")];
    };
    let told = format!("{who} is {} ms {} this machine", off.abs(), if *off < 0 { "behind" } else { "ahead of" });
    let remedy = "run chrony or systemd-timesyncd on every machine";
    vec![match off.abs() {
        CLOCK_FAIL_MS.. => fail("clock", told, remedy),
        CLOCK_WARN_MS.. => warn("clock", told, remedy),
        _ => ok("clock", format!("{} clocks within {CLOCK_WARN_MS} ms", facts.clocks.len())),
    }]
}

fn disks(facts: &Facts) -> Vec<Finding> {
    let judge = |(path, free, all): &(String, u64, u64)| {
        let percent = free.saturating_mul(100).checked_div(*all).unwrap_or_default();
        let told = format!("{path}: {} MiB free, {percent} %", free >> 20);
        if *free < DISK_FREE_BYTES || (percent < DISK_FREE_PERCENT && *free < DISK_ROOMY_BYTES) {
            fail("disk", told, "make room, or a larger disk; Postgres stops when its own is full")
        } else {
            ok("disk", told)
        }
    };
    facts.disks.iter().map(judge).collect()
}

#[cfg(test)]
mod tests;
