//! Streams, with who publishes them now.

use super::{PgResult, column, word};
use crate::domain::stream::Facts;
use kit::pg::{GenericClient, Row, Type};
use proto::{
    SessionId, StreamId, UserId,
    api::{Live, Stream},
    stream::Visibility,
};
use time::OffsetDateTime;

/// A stream as stored. Its viewers are counted in Redis, so `live` says 0 of them.
#[derive(Debug, Clone)]
pub struct StreamRow(pub Stream);

impl StreamRow {
    /// What the rules need.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts { id: self.0.id.clone(), owner: self.0.owner, visibility: self.0.visibility }
    }
}

const SELECT: &str = "SELECT s.id, s.title, s.visibility, s.owner_id, s.created_at, s.updated_at, u.display_name,
        c.node, c.epoch, c.protocol, c.session_id, c.since
    FROM streams s JOIN users u ON u.id = s.owner_id
    LEFT JOIN claims c ON c.stream_id = s.id AND c.state = 'live'";

fn stream(row: &Row) -> PgResult<StreamRow> {
    Ok(StreamRow(Stream {
        id: word(row, "id")?,
        title: column(row, "title")?,
        visibility: word(row, "visibility")?,
        owner: UserId::from_uuid(column(row, "owner_id")?),
        owner_name: column(row, "display_name")?,
        created_at: column(row, "created_at")?,
        updated_at: column(row, "updated_at")?,
        live: live(row)?,
    }))
}

fn live(row: &Row) -> PgResult<Option<Live>> {
    if column::<Option<&str>>(row, "node")?.is_none() {
        return Ok(None);
    }
    Ok(Some(Live {
        node: word(row, "node")?,
        epoch: u64::try_from(column::<i64>(row, "epoch")?).unwrap_or_default(),
        protocol: word(row, "protocol")?,
        session: SessionId::from_uuid(column(row, "session_id")?),
        viewers: 0,
        since: column(row, "since")?,
    }))
}

/// A stream that was not deleted.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn get(client: &impl GenericClient, id: &StreamId) -> PgResult<Option<StreamRow>> {
    let sql = format!("{SELECT} WHERE s.id = $1 AND s.deleted_at IS NULL");
    let row = client.query_typed_opt(&sql, &[(&id.as_str(), Type::TEXT)]).await?;
    row.as_ref().map(stream).transpose()
}

/// Locks the owner's account until the transaction ends and counts their streams, so that two requests at once cannot pass the limit.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn count_of(client: &impl GenericClient, owner: UserId) -> PgResult<i64> {
    client.query_typed("SELECT 1 FROM users WHERE id = $1 FOR UPDATE", &[(&owner.uuid(), Type::UUID)]).await?;
    let sql = "SELECT count(*) AS n FROM streams WHERE owner_id = $1 AND deleted_at IS NULL";
    let row = client.query_typed_one(sql, &[(&owner.uuid(), Type::UUID)]).await?;
    column(&row, "n")
}

/// Makes a stream; false when its id is taken.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn insert(
    client: &impl GenericClient,
    id: &StreamId,
    owner: UserId,
    title: &str,
    visibility: Visibility,
) -> PgResult<bool> {
    let sql = "INSERT INTO streams (id, owner_id, title, visibility) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    let params = [
        (&id.as_str() as _, Type::TEXT),
        (&owner.uuid() as _, Type::UUID),
        (&title as _, Type::TEXT),
        (&visibility.as_str() as _, Type::TEXT),
    ];
    Ok(client.execute_typed(sql, &params).await? == 1)
}

/// Changes what is given; false when there is no such stream.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn update(
    client: &impl GenericClient,
    id: &StreamId,
    title: Option<&str>,
    visibility: Option<Visibility>,
) -> PgResult<bool> {
    let sql =
        "UPDATE streams SET title = coalesce($2, title), visibility = coalesce($3, visibility), updated_at = now()
               WHERE id = $1 AND deleted_at IS NULL";
    let visibility = visibility.map(Visibility::as_str);
    let params = [(&id.as_str() as _, Type::TEXT), (&title as _, Type::TEXT), (&visibility as _, Type::TEXT)];
    Ok(client.execute_typed(sql, &params).await? == 1)
}

/// Deletes a stream; false when it is gone already. Its row stays, for history.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn delete(client: &impl GenericClient, id: &StreamId) -> PgResult<bool> {
    let sql = "UPDATE streams SET deleted_at = now(), updated_at = now() WHERE id = $1 AND deleted_at IS NULL";
    Ok(client.execute_typed(sql, &[(&id.as_str(), Type::TEXT)]).await? == 1)
}

/// A place in a list: time of the last item, then its id.
pub type After<'a> = Option<(OffsetDateTime, &'a str)>;

/// Streams of one owner, or of all, newest first.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn list(
    client: &impl GenericClient,
    owner: Option<UserId>,
    after: After<'_>,
    rows_max: i64,
) -> PgResult<Vec<StreamRow>> {
    let sql = format!(
        "{SELECT} WHERE s.deleted_at IS NULL AND ($1::uuid IS NULL OR s.owner_id = $1)
           AND ($2::timestamptz IS NULL OR (s.created_at, s.id) < ($2, $3))
         ORDER BY s.created_at DESC, s.id DESC LIMIT $4"
    );
    let owner = owner.map(|owner| owner.uuid());
    let (at, id) = (after.map(|(at, _)| at), after.map(|(_, id)| id));
    let params = [
        (&owner as _, Type::UUID),
        (&at as _, Type::TIMESTAMPTZ),
        (&id as _, Type::TEXT),
        (&rows_max as _, Type::INT8),
    ];
    client.query_typed(&sql, &params).await?.iter().map(stream).collect()
}

/// Live public streams, latest start first.
///
/// # Errors
/// [`kit::pg::PgError`].
pub async fn directory(client: &impl GenericClient, after: After<'_>, rows_max: i64) -> PgResult<Vec<StreamRow>> {
    let sql = format!(
        "{SELECT} WHERE c.stream_id IS NOT NULL AND s.deleted_at IS NULL AND s.visibility = 'public'
           AND ($1::timestamptz IS NULL OR (c.since, s.id) < ($1, $2))
         ORDER BY c.since DESC, s.id DESC LIMIT $3"
    );
    let (at, id) = (after.map(|(at, _)| at), after.map(|(_, id)| id));
    let params = [(&at as _, Type::TIMESTAMPTZ), (&id as _, Type::TEXT), (&rows_max as _, Type::INT8)];
    client.query_typed(&sql, &params).await?.iter().map(stream).collect()
}
