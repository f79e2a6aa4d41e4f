//! Keeps the enrolments of [`crate::nodes::Nodes`] as Postgres has them: read at start, every 5 s, and when told.

use super::{JobError, report};
use crate::{
    app::State,
    config::Config,
    domain::enrolment::{Enrolment, SECRET_OVERLAP},
    store::pg::{
        audit,
        nodes::{self, Bootstrapped},
    },
};
use kit::{kv::Cmd, pg::PgError};
use proto::{NodeId, keys, secret::sha256_hex};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// How often they are read when nobody tells of a change.
const EVERY: Duration = Duration::from_secs(5);
/// Between two readings at the most often, however much is told.
const APART: Duration = Duration::from_millis(100);

/// What `NODES_BOOTSTRAP` says; it counts until Postgres was read.
#[must_use]
pub fn bootstrap(config: &Config) -> Vec<Enrolment> {
    let now = OffsetDateTime::now_utc();
    let enrolment = |(id, secret): (&NodeId, &SecretString)| Enrolment {
        srt_encrypted: config.nodes_srt_encrypted.contains(id),
        ..Enrolment::bare(id.clone(), secret.expose_secret(), now)
    };
    config.nodes.iter().map(enrolment).collect()
}

/// Reads until `stop`.
pub async fn run(state: Arc<State>, stop: CancellationToken) {
    let mut failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = state.nodes.wait() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
        let done = load(&state).await.map_err(JobError::from);
        report(&state, "enrolments", &mut failing, done);
        tokio::time::sleep(APART).await;
    }
}

/// Reads the enrolments, after having enrolled what `NODES_BOOTSTRAP` names if this process has not done so yet.
///
/// # Errors
/// [`PgError`]; what was known before goes on.
pub async fn load(state: &State) -> Result<(), PgError> {
    let mut bootstrapped = state.nodes.reading().await;
    if !*bootstrapped {
        if enrol_bootstrap(state).await? {
            tell(state).await;
        }
        *bootstrapped = true;
    }
    let client = state.pg.get().await?;
    state.nodes.enrol(nodes::all(&**client).await?);
    Ok(())
}

/// Enrols who is not yet, gives a new secret to whose secret is another now; the rest of a row that is there stays. True if anything changed.
async fn enrol_bootstrap(state: &State) -> Result<bool, PgError> {
    let mut changed = false;
    if state.config.nodes.is_empty() {
        return Ok(changed);
    }
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    for (id, secret) in &state.config.nodes {
        let hash = sha256_hex(secret.expose_secret().as_bytes());
        let encrypted = state.config.nodes_srt_encrypted.contains(id);
        let action = match nodes::bootstrap(&*transaction, id, &hash, encrypted, SECRET_OVERLAP).await? {
            Bootstrapped::Same => continue,
            Bootstrapped::Enrolled => "node.enrol",
            Bootstrapped::Rotated => "node.rotate_secret",
        };
        let detail = json!({ "by": "NODES_BOOTSTRAP" });
        let entry = audit::Entry { actor: None, action, target: format!("node/{id}"), ip: None, detail: &detail };
        audit::insert(&*transaction, entry).await?;
        changed = true;
    }
    transaction.commit().await?;
    Ok(changed)
}

/// Tells the other control nodes that rows changed. One that misses it reads them within 5 s.
pub async fn tell(state: &State) {
    if state.kv.one(Cmd::on("PUBLISH", keys::ENROLMENTS).arg("")).await.is_err() {
        state.metrics.redis_skipped("enrolments");
    }
}
