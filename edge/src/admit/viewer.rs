//! What still stands behind a viewer's value: the session it names, and the right that opened that.

use super::Admission;
use crate::{
    config::AuthMode,
    error::{ApiError, Fault},
    metrics::Degraded,
};
use kit::kv::{Cmd, Reply};
use proto::{
    StreamId, keys,
    session::{EndReason, Known},
    stream::Visibility,
    viewer::Viewer,
};

/// What is known of the session that a viewer value names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It runs.
    Open,
    /// It ended.
    Ended(EndReason),
    /// Nobody knows it: it was never told, or forgotten.
    Unknown,
    /// Nobody could be asked.
    Unasked,
}

impl Admission {
    /// Asks Redis, in one round trip, for the session of a viewer value, and for its token or the stream's visibility.
    ///
    /// # Errors
    /// [`ApiError::TokenInvalid`]: its token was revoked. [`ApiError::TokenMissing`]: the stream has become private, and no token let the viewer in.
    pub async fn standing(&self, stream: &StreamId, value: &Viewer) -> Result<Standing, ApiError> {
        // A token that has expired is gone from Redis, revoked or not; then the session alone counts.
        let token = value.token.filter(|_| kit::clock::unix() < value.expires_at);
        let open = self.mode == AuthMode::Open;
        let mut commands = vec![Cmd::get(&keys::session(&value.session))];
        commands.extend(token.map(|jti| Cmd::get(&keys::token(&jti))));
        let public = value.token.is_none() && !open;
        if public {
            commands.push(Cmd::get(&keys::stream(stream)));
        }
        let replies = self.kv.run(commands).await.ok();
        let (session, right) = replies.as_ref().map_or((None, None), |all| (all.first(), all.get(1)));
        if public && self.visible(stream, right).await? == Visibility::Private {
            return Err(ApiError::TokenMissing);
        }
        if token.is_some() && right.is_some_and(Reply::is_nil) && self.filled().await {
            return Err(ApiError::TokenInvalid(Fault::Revoked));
        }
        let Some(reply) = session else {
            self.metrics.degraded(Degraded::Session);
            return Ok(Standing::Unasked);
        };
        let known: Option<Known> = reply.json().ok().flatten();
        Ok(known.map_or(Standing::Unknown, |known| match (known.session.closed_at, known.session.reason) {
            (None, _) => Standing::Open,
            (Some(_), reason) => Standing::Ended(reason.unwrap_or(EndReason::ClientLeft)),
        }))
    }

    /// Whether anybody plays the stream without a token.
    ///
    /// # Errors
    /// [`ApiError::StreamUnknown`].
    pub async fn is_public(&self, stream: &StreamId) -> Result<bool, ApiError> {
        if self.mode == AuthMode::Open {
            return Ok(true);
        }
        let reply = self.kv.one(Cmd::get(&keys::stream(stream))).await.ok();
        Ok(self.visible(stream, reply.as_ref()).await? != Visibility::Private)
    }
}
