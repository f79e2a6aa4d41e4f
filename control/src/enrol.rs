//! Enrolment carried out: rows in Postgres with their audit entry, then memory here and news to the other control nodes.

use crate::{
    app::State,
    domain::enrolment::{Enrolment, NODES_MAX, SECRET_LEN, hooks_base, overlap, srs_conf},
    error::ApiError,
    hooks::heartbeat,
    jobs::enrolments,
    sessions::live,
    store::pg::{
        audit,
        claims::{self, Which},
        nodes as store,
    },
    streams::Actor,
};
use kit::{kv::Cmd, pg::GenericClient};
use proto::{
    NodeId,
    api::{EnrolNode, RotateNodeSecret, RotatedNodeSecret, UpdateNode},
    keys,
    secret::sha256_hex,
    session::EndReason,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

pub(crate) async fn note(
    client: &impl GenericClient,
    by: &Actor,
    action: &'static str,
    id: &NodeId,
    detail: &Value,
) -> Result<(), ApiError> {
    let target = format!("node/{id}");
    let entry = audit::Entry { actor: Some(by.user), action, target, ip: Some(by.ip), detail };
    Ok(audit::insert(client, entry).await?)
}

/// Takes a change in here and tells the others.
pub(crate) async fn changed(state: &State) -> Result<(), ApiError> {
    enrolments::load(state).await?;
    enrolments::tell(state).await;
    Ok(())
}

/// Enrols a node. Gives back its secret and the lines for its `srs.conf`.
///
/// # Errors
/// A value that breaks a rule; [`ApiError::NodeExists`], [`ApiError::TooManyNodes`]; Postgres away.
pub async fn create(state: &State, asked: &EnrolNode, by: &Actor) -> Result<(String, String), ApiError> {
    let base = hooks_base(asked.hooks_to.as_deref(), &state.url)?;
    let secret = kit::random::letters(SECRET_LEN);
    let node = Enrolment::asked(asked, &secret, OffsetDateTime::now_utc())?;
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    if store::count(&*transaction).await? >= NODES_MAX {
        return Err(ApiError::TooManyNodes { limit: NODES_MAX });
    }
    if !store::insert(&*transaction, &node).await? {
        return Err(ApiError::NodeExists);
    }
    note(&*transaction, by, "node.enrol", &node.id, &described(&node)).await?;
    transaction.commit().await?;
    drop(client);
    changed(state).await?;
    let conf = srs_conf(&node.id, &secret, &base);
    Ok((secret, conf))
}

fn described(node: &Enrolment) -> Value {
    json!({ "at": node.at, "public": node.public, "weight": node.weight, "zone": node.zone, "limits": node.limits })
}

/// Changes what an operator may change.
///
/// # Errors
/// A value that breaks a rule; [`ApiError::NodeNotFound`]; Postgres away.
pub async fn update(state: &State, id: &NodeId, asked: &UpdateNode, by: &Actor) -> Result<(), ApiError> {
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    let was = store::lock(&*transaction, id).await?.ok_or(ApiError::NodeNotFound)?;
    let node = was.changed(asked)?;
    store::update(&*transaction, &node).await?;
    note(&*transaction, by, "node.update", id, &described(&node)).await?;
    transaction.commit().await?;
    drop(client);
    changed(state).await
}

/// Gives a node another secret.
///
/// # Errors
/// An overlap that is too long; [`ApiError::NodeNotFound`]; Postgres away.
pub async fn rotate(
    state: &State,
    id: &NodeId,
    asked: &RotateNodeSecret,
    by: &Actor,
) -> Result<RotatedNodeSecret, ApiError> {
    let overlap = overlap(asked.overlap_seconds)?;
    let base = hooks_base(asked.hooks_to.as_deref(), &state.url)?;
    let secret = kit::random::letters(SECRET_LEN);
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    let until = store::rotate(&*transaction, id, &sha256_hex(secret.as_bytes()), overlap).await?;
    let previous_valid_until = until.ok_or(ApiError::NodeNotFound)?;
    let detail = json!({ "overlap_seconds": overlap.whole_seconds() });
    note(&*transaction, by, "node.rotate_secret", id, &detail).await?;
    transaction.commit().await?;
    drop(client);
    changed(state).await?;
    Ok(RotatedNodeSecret { srs_conf: srs_conf(id, &secret, &base), secret, previous_valid_until })
}

/// Removes a node. What it carries is in the way, or ended with `force`.
///
/// # Errors
/// [`ApiError::NodeNotFound`], [`ApiError::NodeBusy`]; Postgres away.
pub async fn delete(state: &State, id: &NodeId, force: bool, by: &Actor) -> Result<(), ApiError> {
    state.nodes.enrolment(id).ok_or(ApiError::NodeNotFound)?;
    let streams = claims::live(&state.pg, Some(id)).await?.len();
    // With Redis away nobody knows; the streams alone decide.
    let sessions = state.sessions.on_nodes(vec![id.clone()]).await.unwrap_or_default();
    let sessions = sessions.first().copied().unwrap_or_default();
    if !force && (streams > 0 || sessions > 0) {
        return Err(ApiError::NodeBusy { streams, sessions });
    }
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    if !store::delete(&*transaction, id).await? {
        return Err(ApiError::NodeNotFound);
    }
    let detail = json!({ "force": force, "streams": streams, "sessions": sessions });
    note(&*transaction, by, "node.remove", id, &detail).await?;
    transaction.commit().await?;
    drop(client);
    changed(state).await?;
    let ended = claims::end(&state.pg, Which::Node(id, None), EndReason::NodeLost).await?;
    for publisher in &ended {
        live::ended(state, publisher, EndReason::NodeLost).await;
    }
    heartbeat::close_sessions(state, id, None);
    let forget = vec![Cmd::on("HDEL", keys::NODES).arg(id.as_str()), Cmd::del(&keys::node_down(id))];
    if state.kv.run(forget).await.is_err() {
        state.metrics.redis_skipped("node");
    }
    Ok(())
}
