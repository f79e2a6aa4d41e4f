//! Broadcasts: what was published, from start to end. Rows begin and end inside the claim statements.

use super::{
    PgResult,
    claims::{Param, many},
    column, word,
};
use kit::pg::{Pg, Row, Type};
use proto::{BroadcastId, NodeId, StreamId, api::Broadcast};
use time::OffsetDateTime;

fn broadcast(row: &Row) -> PgResult<Broadcast> {
    let reason: Option<String> = column(row, "reason")?;
    Ok(Broadcast {
        id: BroadcastId::from_uuid(column(row, "id")?),
        stream: word::<StreamId>(row, "stream_id")?,
        node: word::<NodeId>(row, "node")?,
        epoch: u64::try_from(column::<i64>(row, "epoch")?).unwrap_or_default(),
        protocol: word(row, "protocol")?,
        started_at: column(row, "started_at")?,
        ended_at: column(row, "ended_at")?,
        reason: match reason {
            Some(_) => Some(word(row, "reason")?),
            None => None,
        },
        peak_viewers: u64::try_from(column::<i64>(row, "peak_viewers")?).unwrap_or_default(),
    })
}

/// A stream's broadcasts, newest first.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn list(
    pg: &Pg,
    stream: &StreamId,
    after: Option<(OffsetDateTime, BroadcastId)>,
    rows_max: i64,
) -> PgResult<Vec<Broadcast>> {
    let sql = "SELECT id, stream_id, node, epoch, protocol, started_at, ended_at, reason, peak_viewers FROM broadcasts
               WHERE stream_id = $1 AND ($2::timestamptz IS NULL OR (started_at, id) < ($2, $3))
               ORDER BY started_at DESC, id DESC LIMIT $4";
    let (at, id) = (after.map(|(at, _)| at), after.map(|(_, id)| id.uuid()));
    let params: [Param<'_>; 4] =
        [(&stream.as_str(), Type::TEXT), (&at, Type::TIMESTAMPTZ), (&id, Type::UUID), (&rows_max, Type::INT8)];
    many(pg, sql, &params).await?.iter().map(broadcast).collect()
}
