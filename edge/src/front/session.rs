//! A session's own requests: any edge opens its handle, asks whether it still runs, and ends it at its node.

use super::{Parts, Session, open::etag};
use crate::{
    error::ApiError,
    metrics::Degraded,
    srs::{SrsError, SrsSession},
};
use proto::{handle::Handle, keys, session::Session as Known};

impl Parts {
    /// Opens a handle and asks whether its session still runs.
    pub(super) async fn session(&self, text: &str, credential: Option<&str>) -> Result<Session, ApiError> {
        let handle = self.open_handle(text, credential)?;
        if !self.alive(&handle).await? {
            return Err(ApiError::SessionUnknown);
        }
        let etag = etag(&handle.session);
        Ok(Session { handle, etag })
    }

    /// Ends a session at its node.
    pub(super) async fn close(&self, text: &str, credential: Option<&str>) -> Result<(), ApiError> {
        let Session { handle, .. } = self.session(text, credential).await?;
        self.end(&handle).await?;
        tracing::info!(
            session.id = %handle.session, stream.id = %handle.stream, role = handle.role.as_str(), node = %handle.node,
            "session ended by its client"
        );
        Ok(())
    }

    fn open_handle(&self, text: &str, credential: Option<&str>) -> Result<Handle, ApiError> {
        let secrets = self.replica.secrets().ok_or(ApiError::Away { what: "secrets" })?;
        let handle = Handle::open(text, &secrets.keyring).map_err(|_| ApiError::SessionUnknown)?;
        if let Some(credential) = credential {
            self.admission.check_bystander(credential, &handle.stream)?;
        }
        Ok(handle)
    }

    /// Deletes at the node, and remembers here.
    pub(super) async fn end(&self, handle: &Handle) -> Result<(), ApiError> {
        let node = self.nodes.get(&handle.node).ok_or(ApiError::NodeUnavailable)?;
        let names = SrsSession::of(&handle.srs_session, &handle.srs_token).ok_or(ApiError::SessionUnknown)?;
        match self.srs.delete(&node.api, &handle.stream, &names).await {
            Ok(()) => {
                self.forget(handle);
                Ok(())
            }
            // SRS hangs up on a token of another run: the session is gone with that run.
            Err(SrsError::HungUp) => {
                self.forget(handle);
                Err(ApiError::SessionUnknown)
            }
            Err(error) => {
                self.node_erred(&handle.node, &handle.service, error);
                tracing::warn!(node = %handle.node, session.id = %handle.session, %error, "a session could not be ended: {error}");
                Err(ApiError::NodeUnavailable)
            }
        }
    }

    fn forget(&self, handle: &Handle) {
        self.over(handle.session, &handle.stream, handle.role, handle.epoch);
    }

    /// Whether a session still runs: by what is known here, else Redis, else control-api, else its node's run.
    async fn alive(&self, handle: &Handle) -> Result<bool, ApiError> {
        let node = self.nodes.get(&handle.node);
        let run = node.as_ref().and_then(|at| at.service.as_ref());
        let gone = node.as_ref().is_some_and(|at| at.lost) || run.is_some_and(|run| *run != handle.service);
        if gone || self.replica.closed(&handle.session) {
            return Ok(false);
        }
        if let Some(stream) = self.streams.get(&handle.stream)
            && stream.confirmed(handle.session).await == Ok(true)
        {
            return Ok(true);
        }
        let runs = |known: &Known| known.closed_at.is_none() && known.service == handle.service;
        if let Ok(Some(known)) = self.kv.json::<Known>(&keys::session(&handle.session)).await {
            return Ok(runs(&known));
        }
        if let Ok(known) = self.control.session(&handle.session).await {
            return Ok(known.as_ref().is_some_and(runs));
        }
        // Nobody can say. While its node has the run it was opened in, it may well be there; ending what has ended harms nobody.
        if run.is_some() {
            self.metrics.degraded(Degraded::Session);
            return Ok(true);
        }
        Err(ApiError::Away { what: "control-api" })
    }
}
