//! Enrolled media nodes.

use super::{PgResult, column, word};
use crate::domain::enrolment::{Enrolment, NodeSecrets};
use kit::pg::{GenericClient, Row, Type};
use proto::{
    NodeId,
    node::{NodeAddresses, NodeLimits},
};
use std::collections::BTreeSet;
use time::{Duration, OffsetDateTime};

const COLUMNS: &str =
    "id, api, http, rtmp, srt, rtc, srt_encrypted, public, weight, zone, streams_max, clients_max, bandwidth_kbps_max,
    secret_hash, secret_previous_hash, secret_previous_until, cordoned_at, drain_deadline, created_at";

fn enrolment(row: &Row) -> PgResult<Enrolment> {
    let srt_encrypted = column(row, "srt_encrypted")?;
    let at = match column::<Option<String>>(row, "api")? {
        None => None,
        Some(api) => Some(NodeAddresses {
            api,
            http: column(row, "http")?,
            rtmp: column(row, "rtmp")?,
            srt: column(row, "srt")?,
            rtc: column(row, "rtc")?,
            srt_encrypted,
        }),
    };
    // The table's CHECKs keep these in their ranges.
    let small = |name| column::<Option<i32>>(row, name).map(|max| max.and_then(|max| u32::try_from(max).ok()));
    let bandwidth = column::<Option<i64>>(row, "bandwidth_kbps_max")?;
    let previous: Option<String> = column(row, "secret_previous_hash")?;
    Ok(Enrolment {
        id: word(row, "id")?,
        at,
        srt_encrypted,
        public: column(row, "public")?,
        weight: u8::try_from(column::<i16>(row, "weight")?).unwrap_or(1),
        zone: column(row, "zone")?,
        limits: NodeLimits {
            streams: small("streams_max")?,
            clients: small("clients_max")?,
            bandwidth_kbps: bandwidth.and_then(|max| u64::try_from(max).ok()),
        },
        secrets: NodeSecrets {
            current: column(row, "secret_hash")?,
            previous: previous.zip(column::<Option<OffsetDateTime>>(row, "secret_previous_until")?),
        },
        cordoned_at: column(row, "cordoned_at")?,
        drain_deadline: column(row, "drain_deadline")?,
        created_at: column(row, "created_at")?,
    })
}

/// All of them, by id.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn all(client: &impl GenericClient) -> PgResult<Vec<Enrolment>> {
    let sql = format!("SELECT {COLUMNS} FROM nodes ORDER BY id");
    client.query_typed(&sql, &[]).await?.iter().map(enrolment).collect()
}

/// One, locked until the transaction ends.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn lock(client: &impl GenericClient, id: &NodeId) -> PgResult<Option<Enrolment>> {
    let sql = format!("SELECT {COLUMNS} FROM nodes WHERE id = $1 FOR UPDATE");
    client.query_typed(&sql, &[(&id.as_str(), Type::TEXT)]).await?.first().map(enrolment).transpose()
}

/// How many there are.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn count(client: &impl GenericClient) -> PgResult<i64> {
    let rows = client.query_typed("SELECT count(*) AS n FROM nodes", &[]).await?;
    rows.first().map_or(Ok(0), |row| column(row, "n"))
}

/// What [`bootstrap`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrapped {
    /// It was there, with this secret.
    Same,
    /// It is new.
    Enrolled,
    /// It was there with another secret, which goes on for the overlap.
    Rotated,
}

/// Enrols a node unless it is; one with another secret gets this one. All else in its row stays.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn bootstrap(
    client: &impl GenericClient,
    id: &NodeId,
    hash: &str,
    srt_encrypted: bool,
    overlap: Duration,
) -> PgResult<Bootstrapped> {
    let sql = "INSERT INTO nodes (id, secret_hash, srt_encrypted) VALUES ($1, $2, $4)
               ON CONFLICT (id) DO UPDATE SET secret_hash = excluded.secret_hash, secret_previous_hash = nodes.secret_hash,
                   secret_previous_until = now() + $3 * interval '1 second'
               WHERE nodes.secret_hash <> excluded.secret_hash
               RETURNING xmax = 0 AS enrolled";
    let params = [
        (&id.as_str() as _, Type::TEXT),
        (&hash as _, Type::TEXT),
        (&overlap.whole_seconds() as _, Type::INT8),
        (&srt_encrypted as _, Type::BOOL),
    ];
    let rows = client.query_typed(sql, &params).await?;
    let Some(row) = rows.first() else { return Ok(Bootstrapped::Same) };
    Ok(if column(row, "enrolled")? { Bootstrapped::Enrolled } else { Bootstrapped::Rotated })
}

/// Adds one; false when the id is taken. Secrets other than the present one, cordon and time are left to the table.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn insert(client: &impl GenericClient, node: &Enrolment) -> PgResult<bool> {
    let sql = "INSERT INTO nodes (id, api, http, rtmp, srt, rtc, public, weight, zone, streams_max, clients_max, bandwidth_kbps_max,
                   srt_encrypted, secret_hash)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (id) DO NOTHING";
    Ok(write(client, sql, node, Some(&node.secrets.current)).await? == 1)
}

/// Writes what an operator may change: addresses, weight, zone, limits. False when there is none.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn update(client: &impl GenericClient, node: &Enrolment) -> PgResult<bool> {
    let sql =
        "UPDATE nodes SET api = $2, http = $3, rtmp = $4, srt = $5, rtc = $6, public = $7, weight = $8, zone = $9,
                   streams_max = $10, clients_max = $11, bandwidth_kbps_max = $12, srt_encrypted = $13 WHERE id = $1";
    Ok(write(client, sql, node, None).await? == 1)
}

async fn write(client: &impl GenericClient, sql: &str, node: &Enrolment, secret: Option<&String>) -> PgResult<u64> {
    let at = |get: fn(&NodeAddresses) -> Option<&str>| node.at.as_ref().and_then(get);
    let max = |max: Option<u32>| max.map(|max| i32::try_from(max).unwrap_or(i32::MAX));
    let (api, http, rtmp) = (at(|at| Some(&at.api)), at(|at| at.http.as_deref()), at(|at| at.rtmp.as_deref()));
    let (srt, rtc) = (at(|at| at.srt.as_deref()), at(|at| at.rtc.as_deref()));
    let (streams, clients) = (max(node.limits.streams), max(node.limits.clients));
    let bandwidth = node.limits.bandwidth_kbps.map(|max| i64::try_from(max).unwrap_or(i64::MAX));
    let encrypted = node.srt_encrypted;
    let weight = i16::from(node.weight);
    let id = node.id.as_str();
    let mut params: Vec<(&(dyn kit::pg::ToSql + Sync), Type)> = vec![
        (&id, Type::TEXT),
        (&api, Type::TEXT),
        (&http, Type::TEXT),
        (&rtmp, Type::TEXT),
        (&srt, Type::TEXT),
        (&rtc, Type::TEXT),
        (&node.public, Type::TEXT_ARRAY),
        (&weight, Type::INT2),
        (&node.zone, Type::TEXT),
        (&streams, Type::INT4),
        (&clients, Type::INT4),
        (&bandwidth, Type::INT8),
        (&encrypted, Type::BOOL),
    ];
    if let Some(secret) = secret {
        params.push((secret, Type::TEXT));
    }
    Ok(client.execute_typed(sql, &params).await?)
}

/// Gives a node another secret; the one before goes on for the overlap, at once over when that is zero. Until when; `None` when there is no node.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn rotate(
    client: &impl GenericClient,
    id: &NodeId,
    hash: &str,
    overlap: Duration,
) -> PgResult<Option<OffsetDateTime>> {
    let sql = "UPDATE nodes SET secret_hash = $2, secret_previous_hash = secret_hash,
                   secret_previous_until = now() + $3 * interval '1 second' WHERE id = $1
               RETURNING secret_previous_until";
    let params =
        [(&id.as_str() as _, Type::TEXT), (&hash as _, Type::TEXT), (&overlap.whole_seconds() as _, Type::INT8)];
    let rows = client.query_typed(sql, &params).await?;
    rows.first().map(|row| column(row, "secret_previous_until")).transpose()
}

/// Waits until no other cordon is under way, for the rest of the transaction, and says which nodes are cordoned.
///
/// Memberships say it a moment later, and two control-apis asked at once would each leave the other's node in.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn lock_cordons(client: &impl GenericClient) -> PgResult<BTreeSet<NodeId>> {
    client.query_typed("SELECT pg_advisory_xact_lock(1801748582)", &[]).await?;
    let rows = client.query_typed("SELECT id FROM nodes WHERE cordoned_at IS NOT NULL", &[]).await?;
    rows.iter().map(|row| word(row, "id")).collect()
}

/// Cordons a node: no new streams; with a deadline, what is left on it then is kicked. False when there is none.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn cordon(client: &impl GenericClient, id: &NodeId, deadline: Option<OffsetDateTime>) -> PgResult<bool> {
    let sql = "UPDATE nodes SET cordoned_at = coalesce(cordoned_at, now()), drain_deadline = $2 WHERE id = $1";
    let params = [(&id.as_str() as _, Type::TEXT), (&deadline as _, Type::TIMESTAMPTZ)];
    Ok(client.execute_typed(sql, &params).await? == 1)
}

/// Takes a cordon back. False when there is no node.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn uncordon(client: &impl GenericClient, id: &NodeId) -> PgResult<bool> {
    let sql = "UPDATE nodes SET cordoned_at = NULL, drain_deadline = NULL WHERE id = $1";
    Ok(client.execute_typed(sql, &[(&id.as_str(), Type::TEXT)]).await? == 1)
}

/// Removes a node. False when there is none.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn delete(client: &impl GenericClient, id: &NodeId) -> PgResult<bool> {
    Ok(client.execute_typed("DELETE FROM nodes WHERE id = $1", &[(&id.as_str(), Type::TEXT)]).await? == 1)
}
