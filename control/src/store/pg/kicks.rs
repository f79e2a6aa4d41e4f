//! Connections that SRS still has to be told to drop. A row is written before the refusal that it follows from is answered.

use super::claims::{Param, many};
use crate::domain::claims::Owner;
use kit::pg::{Pg, PgError, Type};
use proto::{ClientId, NodeId, ServiceId};

/// Tries of one control node before another may take a kick over, in seconds: longer than a try takes.
const LEASE_SECONDS: i64 = 5;
/// After this long a kick is given up, in seconds: SRS forgets a WebRTC session without media after 35 s by itself.
const GIVE_UP_SECONDS: i64 = 600;

/// A kick that is due.
#[derive(Debug, Clone)]
pub struct Owed {
    /// Its row.
    pub id: i64,
    /// Whom to drop.
    pub client: Owner,
}

/// Writes down kicks, due in `delay_ms`; one that is owed already stays as it is.
///
/// # Errors
/// [`PgError`].
pub async fn owe(pg: &Pg, clients: &[Owner], reason: &str, delay_ms: i64) -> Result<(), PgError> {
    let column = |text: fn(&Owner) -> &str| clients.iter().map(text).collect::<Vec<_>>();
    let (nodes, services) = (column(|o| o.node.as_str()), column(|o| o.service.as_str()));
    let ids = column(|o| o.client.as_str());
    let params: [Param<'_>; 5] = [
        (&nodes, Type::TEXT_ARRAY),
        (&services, Type::TEXT_ARRAY),
        (&ids, Type::TEXT_ARRAY),
        (&reason, Type::TEXT),
        (&delay_ms, Type::INT8),
    ];
    let sql = "INSERT INTO owed_kicks (node, service, client_id, reason, next_at)
               SELECT n, s, c, $4, now() + make_interval(secs => $5 / 1000.0) FROM unnest($1, $2, $3) AS u (n, s, c)
               ON CONFLICT (node, service, client_id) DO NOTHING";
    many(pg, sql, &params).await.map(|_| ())
}

/// Takes at most `rows_max` due kicks for [`LEASE_SECONDS`], so that no two control nodes try one at once. Those of `away` wait: each would take the
/// time of a node that does not answer.
///
/// # Errors
/// [`PgError`].
pub async fn due(pg: &Pg, rows_max: i64, away: &[NodeId]) -> Result<Vec<Owed>, PgError> {
    let sql = "UPDATE owed_kicks SET next_at = now() + make_interval(secs => $2), tries = tries + 1
               WHERE id IN (SELECT id FROM owed_kicks WHERE next_at <= now() AND node <> ALL ($3) ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED)
               RETURNING id, node, service, client_id";
    let away: Vec<&str> = away.iter().map(NodeId::as_str).collect();
    let params: [Param<'_>; 3] = [(&rows_max, Type::INT8), (&LEASE_SECONDS, Type::INT8), (&away, Type::TEXT_ARRAY)];
    let rows = many(pg, sql, &params).await?;
    rows.iter().map(|row| Ok(Owed { id: row.try_get("id")?, client: owner(row)? })).collect()
}

fn owner(row: &kit::pg::Row) -> Result<Owner, PgError> {
    let text = |name| row.try_get::<_, String>(name);
    Ok(Owner {
        node: NodeId::parse(&text("node")?).map_err(|e| PgError::Away(e.into()))?,
        service: ServiceId::parse(&text("service")?).map_err(|e| PgError::Away(e.into()))?,
        client: ClientId::parse(&text("client_id")?).map_err(|e| PgError::Away(e.into()))?,
    })
}

/// Strikes out kicks that are done.
///
/// # Errors
/// [`PgError`].
pub async fn done(pg: &Pg, ids: &[i64]) -> Result<(), PgError> {
    many(pg, "DELETE FROM owed_kicks WHERE id = ANY ($1)", &[(&ids, Type::INT8_ARRAY)]).await.map(|_| ())
}

/// Strikes out one kick by its client.
///
/// # Errors
/// [`PgError`].
pub async fn done_client(pg: &Pg, client: &Owner) -> Result<(), PgError> {
    let sql = "DELETE FROM owed_kicks WHERE node = $1 AND service = $2 AND client_id = $3";
    let params: [Param<'_>; 3] = [
        (&client.node.as_str(), Type::TEXT),
        (&client.service.as_str(), Type::TEXT),
        (&client.client.as_str(), Type::TEXT),
    ];
    many(pg, sql, &params).await.map(|_| ())
}

/// Strikes out what a node's other runs owed: their clients are gone with them.
///
/// # Errors
/// [`PgError`].
pub async fn forget_other_runs(pg: &Pg, node: &NodeId, service: &ServiceId) -> Result<(), PgError> {
    let sql = "DELETE FROM owed_kicks WHERE node = $1 AND service <> $2";
    many(pg, sql, &[(&node.as_str(), Type::TEXT), (&service.as_str(), Type::TEXT)]).await.map(|_| ())
}

/// Gives up what is too old; whom.
///
/// # Errors
/// [`PgError`].
pub async fn give_up(pg: &Pg) -> Result<Vec<Owner>, PgError> {
    let sql = "DELETE FROM owed_kicks WHERE created_at < now() - make_interval(secs => $1) RETURNING node, service, client_id";
    many(pg, sql, &[(&GIVE_UP_SECONDS, Type::INT8)]).await?.iter().map(owner).collect()
}

/// How many are owed, for the metrics.
///
/// # Errors
/// [`PgError`].
pub async fn count(pg: &Pg) -> Result<i64, PgError> {
    let rows = many(pg, "SELECT count(*) AS n FROM owed_kicks", &[]).await?;
    rows.first().map_or(Ok(0), |row| Ok(row.try_get("n")?))
}
