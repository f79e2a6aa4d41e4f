//! Secrets are there, strong, and none is one that stands in an example.

use super::{Finding, fail, ok, skipped};
use crate::doctor::facts::Facts;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes a secret has at least, as control-api itself wants of `JWT_SECRET`.
const JWT_BYTES_MIN: usize = 32;
/// Bytes other secrets should have.
const BYTES_MIN: usize = 16;
/// Different characters of a secret that was drawn: 32 hexadecimal digits have fewer than this once in ten million draws.
const DISTINCT_MIN: usize = 8;
/// Words of secrets that nobody drew.
const PLACEHOLDERS: [&str; 9] =
    ["change", "secret", "example", "password", "default", "insecure", "keystone", "12345", "qwert"];

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let secrets = secrets(facts);
    if secrets.is_empty() {
        return vec![skipped("secrets", "no settings: name them with --env-file")];
    }
    let mut found: Vec<Finding> = secrets
        .iter()
        .filter_map(|(name, value)| {
            let least = if name.starts_with("JWT") { JWT_BYTES_MIN } else { BYTES_MIN };
            weakness(value, least).map(|why| fail("secrets", format!("{name} {why}"), "draw one: openssl rand -hex 32"))
        })
        .collect();
    if facts.setting("JWT_SECRET").is_none() && facts.setting("DATABASE_URL").is_some() {
        found.push(fail("secrets", "JWT_SECRET is not set", "draw one: openssl rand -hex 32"));
    }
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in &secrets {
        if let Some(other) = seen.insert(value, name) {
            found.push(fail("secrets", format!("{name} and {other} are the same"), "give each its own"));
        }
    }
    if found.is_empty() { vec![ok("secrets", format!("{} are strong, and different", secrets.len()))] } else { found }
}

/// Name and value of every secret among the settings.
fn secrets(facts: &Facts) -> Vec<(String, String)> {
    let named = ["JWT_SECRET", "JWT_SECRET_PREVIOUS", "EDGE_SECRET", "EDGE_SECRET_PREVIOUS", "REDIS_PASSWORD"];
    let mut all: Vec<(String, String)> = named
        .iter()
        .filter_map(|name| facts.setting(name).map(|value| ((*name).to_owned(), value.to_owned())))
        .collect();
    let nodes = facts.setting("NODES_BOOTSTRAP").unwrap_or_default().split(',');
    all.extend(
        nodes
            .filter_map(|pair| pair.split_once(':'))
            .map(|(node, secret)| (format!("the secret of {node}"), secret.to_owned())),
    );
    for name in ["DATABASE_URL", "REDIS_URL"] {
        let parsed = facts.setting(name).and_then(|value| url::Url::parse(value).ok());
        if let Some(password) = parsed.as_ref().and_then(url::Url::password) {
            all.push((format!("the password in {name}"), password.to_owned()));
        }
    }
    all
}

/// What is wrong with a secret, without showing it.
fn weakness(value: &str, least: usize) -> Option<String> {
    let lower = value.to_ascii_lowercase();
    if value.len() < least {
        return Some(format!("has {} bytes, {least} is the least", value.len()));
    }
    if PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
        return Some("is a word that stands in examples".to_owned());
    }
    let distinct: BTreeSet<char> = value.chars().collect();
    (distinct.len() < DISTINCT_MIN).then(|| "has few different characters, so nobody drew it".to_owned())
}
