//! The audit log: written in the transaction of what it tells.

use super::{PgResult, column};
use kit::pg::{GenericClient, Row, Type};
use proto::{UserId, api::AuditEntry};
use std::net::IpAddr;
use uuid::Uuid;

/// What was done, by whom.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Who; `None` for the system and the command line.
    pub actor: Option<UserId>,
    /// E.g. `stream.rotate_key`.
    pub action: &'static str,
    /// To what, e.g. `stream/cam1`.
    pub target: String,
    /// From where.
    pub ip: Option<IpAddr>,
    /// More, without secrets.
    pub detail: &'a serde_json::Value,
}

/// Nothing more to tell.
pub static NOTHING: std::sync::LazyLock<serde_json::Value> =
    std::sync::LazyLock::new(|| serde_json::Value::Object(serde_json::Map::new()));

/// Writes an entry.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn insert(client: &impl GenericClient, entry: Entry<'_>) -> PgResult<()> {
    let sql = "INSERT INTO audit_log (actor, action, target, ip, detail) VALUES ($1, $2, $3, $4, $5)";
    let params = [
        (&entry.actor.map(|actor| actor.uuid()) as _, Type::UUID),
        (&entry.action as _, Type::TEXT),
        (&entry.target as _, Type::TEXT),
        (&entry.ip as _, Type::INET),
        (entry.detail as _, Type::JSONB),
    ];
    client.execute_typed(sql, &params).await?;
    Ok(())
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Older than this one.
    pub before: Option<i64>,
    /// Of this user.
    pub actor: Option<UserId>,
    /// About this, e.g. `stream/cam1`.
    pub target: Option<String>,
}

/// Entries, newest first.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn list(client: &impl GenericClient, filter: &Filter, rows_max: i64) -> PgResult<Vec<AuditEntry>> {
    let sql = "SELECT id, at, actor, action, target, ip, detail FROM audit_log
               WHERE ($1::int8 IS NULL OR id < $1) AND ($2::uuid IS NULL OR actor = $2)
                 AND ($3::text IS NULL OR target = $3)
               ORDER BY id DESC LIMIT $4";
    let params = [
        (&filter.before as _, Type::INT8),
        (&filter.actor.map(|actor| actor.uuid()) as _, Type::UUID),
        (&filter.target as _, Type::TEXT),
        (&rows_max as _, Type::INT8),
    ];
    client.query_typed(sql, &params).await?.iter().map(entry).collect()
}

fn entry(row: &Row) -> PgResult<AuditEntry> {
    Ok(AuditEntry {
        id: column(row, "id")?,
        at: column(row, "at")?,
        actor: column::<Option<Uuid>>(row, "actor")?.map(UserId::from_uuid),
        action: column(row, "action")?,
        target: column(row, "target")?,
        ip: column::<Option<IpAddr>>(row, "ip")?.map(|ip| ip.to_string()),
        detail: column(row, "detail")?,
    })
}
