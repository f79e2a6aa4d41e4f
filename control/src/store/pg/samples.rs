//! Points of streams' history.

use super::{
    PgResult,
    claims::{Param, many},
    column,
};
use kit::pg::{Pg, Row, Type};
use proto::{StreamId, api::Sample};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// How long points are kept, in days.
const KEPT_DAYS: i64 = 30;

/// A point of one stream; also how it waits in Redis while Postgres is away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The stream.
    pub stream: StreamId,
    /// What was seen.
    #[serde(flatten)]
    pub figures: Figures,
}

/// [`Sample`] with its time as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// Viewers.
    pub viewers: u64,
    /// Kilobits a second from the publisher.
    pub kbps_in: i64,
    /// Kilobits a second to all viewers.
    pub kbps_out: i64,
}

/// Stores points and lifts the running broadcasts' peaks. A point that is stored already, or of a stream that never was, is left out.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn insert(pg: &Pg, points: &[Point]) -> PgResult<()> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let streams: Vec<&str> = points.iter().map(|p| p.stream.as_str()).collect();
    let at: Vec<i64> = points.iter().map(|p| signed(p.figures.at_ms)).collect();
    let viewers: Vec<i64> = points.iter().map(|p| signed(p.figures.viewers)).collect();
    let kbps_in: Vec<i64> = points.iter().map(|p| p.figures.kbps_in).collect();
    let kbps_out: Vec<i64> = points.iter().map(|p| p.figures.kbps_out).collect();
    let sql = "WITH given AS (
                   SELECT u.s, to_timestamp(u.t / 1000.0) AS t, u.v, u.i, u.o
                   FROM unnest($1, $2, $3, $4, $5) AS u (s, t, v, i, o) JOIN streams ON streams.id = u.s
               ), peaks AS (
                   UPDATE broadcasts b SET peak_viewers = g.v FROM (SELECT s, max(v) AS v, max(t) AS t FROM given GROUP BY s) g
                   WHERE b.stream_id = g.s AND b.ended_at IS NULL AND b.started_at <= g.t AND b.peak_viewers < g.v
               )
               INSERT INTO samples (stream_id, at, viewers, kbps_in, kbps_out) SELECT s, t, v, i, o FROM given
               ON CONFLICT DO NOTHING";
    let params: [Param<'_>; 5] = [
        (&streams, Type::TEXT_ARRAY),
        (&at, Type::INT8_ARRAY),
        (&viewers, Type::INT8_ARRAY),
        (&kbps_in, Type::INT8_ARRAY),
        (&kbps_out, Type::INT8_ARRAY),
    ];
    many(pg, sql, &params).await.map(|_| ())
}

fn sample(row: &Row) -> PgResult<Sample> {
    Ok(Sample {
        at: column(row, "at")?,
        viewers: u64::try_from(column::<i64>(row, "viewers")?).unwrap_or_default(),
        kbps_in: column(row, "kbps_in")?,
        kbps_out: column(row, "kbps_out")?,
    })
}

/// A stream's points between two times, oldest first, at most `rows_max` of the latest.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn list(
    pg: &Pg,
    stream: &StreamId,
    from: Option<OffsetDateTime>,
    to: Option<OffsetDateTime>,
    rows_max: i64,
) -> PgResult<Vec<Sample>> {
    let sql = "SELECT * FROM (
                   SELECT at, viewers, kbps_in, kbps_out FROM samples
                   WHERE stream_id = $1 AND ($2::timestamptz IS NULL OR at >= $2) AND ($3::timestamptz IS NULL OR at < $3)
                   ORDER BY at DESC LIMIT $4
               ) AS latest ORDER BY at";
    let params: [Param<'_>; 4] =
        [(&stream.as_str(), Type::TEXT), (&from, Type::TIMESTAMPTZ), (&to, Type::TIMESTAMPTZ), (&rows_max, Type::INT8)];
    many(pg, sql, &params).await?.iter().map(sample).collect()
}

/// Deletes what is too old.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn prune(pg: &Pg) -> PgResult<()> {
    let sql = "DELETE FROM samples WHERE at < now() - make_interval(days => $1::int8::int4)";
    many(pg, sql, &[(&KEPT_DAYS, Type::INT8)]).await.map(|_| ())
}
