//! What a refusal is called in RTMP. The words are those of every other protocol, with what to do about it.

use crate::error::ApiError;
use proto::{session::Role, wire::rtmp::session::SessionError};

/// A connection that cannot go on before it was granted anything.
pub(super) const REJECTED: &str = "NetConnection.Connect.Rejected";

/// A refusal as a client is told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) description: String,
}

impl Refusal {
    pub(super) fn of(role: Role, error: &ApiError) -> Self {
        let words = if *error == ApiError::TokenMissing {
            "put ?token= and a token or stream key behind the stream's name".to_owned()
        } else {
            error.detail()
        };
        let again = error.retry_after().map(|seconds| format!("; try again in {seconds} s")).unwrap_or_default();
        Self { code: code(role, error), description: format!("{words}{again} ({})", error.row().code) }
    }

    pub(super) fn slow() -> Self {
        Self { code: REJECTED, description: "publish or play was awaited and did not come in time".to_owned() }
    }

    pub(super) fn of_session(error: &SessionError) -> Self {
        Self { code: REJECTED, description: error.to_string() }
    }
}

/// The one table from refusals to status codes.
const fn code(role: Role, error: &ApiError) -> &'static str {
    const DENIED: [&str; 2] = ["NetStream.Publish.Denied", "NetStream.Play.Failed"];
    const NAME: [&str; 2] = ["NetStream.Publish.BadName", "NetStream.Play.StreamNotFound"];
    const FAILED: [&str; 2] = ["NetStream.Failed", "NetStream.Play.Failed"];
    let [publish, play] = match error {
        ApiError::TokenMissing
        | ApiError::TokenInvalid(_)
        | ApiError::TokenScope(_)
        | ApiError::Refused
        | ApiError::RateLimited { .. } => DENIED,
        ApiError::StreamUnknown | ApiError::StreamBusy { .. } | ApiError::StreamNotLive => NAME,
        ApiError::NodeUnavailable
        | ApiError::Leaving
        | ApiError::UpstreamRefused
        | ApiError::Away { .. }
        | ApiError::Internal
        | ApiError::EdgeFull
        | ApiError::MediaLate
        // None of these comes from a grant.
        | ApiError::NotFound
        | ApiError::MethodNotAllowed { .. }
        | ApiError::Query(_)
        | ApiError::Json(_)
        | ApiError::ContentType { .. }
        | ApiError::BodyTooLarge { .. }
        | ApiError::BodyTimeout
        | ApiError::SdpMalformed(_)
        | ApiError::SdpUnsupported(_)
        | ApiError::Fragment(_)
        | ApiError::IceRestart
        | ApiError::IfMatchMissing
        | ApiError::IfMatchMismatch
        | ApiError::SessionUnknown
        | ApiError::SegmentUnknown
        | ApiError::ThumbnailAbsent
        | ApiError::ThumbnailsOff => FAILED,
    };
    match role {
        Role::Publish => publish,
        Role::Play => play,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_to_do() {
        let docs = include_str!("../../../docs/rtmp.md");
        for error in ApiError::all() {
            for role in [Role::Publish, Role::Play] {
                let refusal = Refusal::of(role, &error);
                assert!(docs.contains(&format!("`{}`", refusal.code)), "docs/rtmp.md lacks {}", refusal.code);
                assert!(refusal.description.ends_with(&format!("({})", error.row().code)));
                assert!(!refusal.description.contains("Bearer"), "a header is nothing an encoder has");
            }
        }
        assert!(docs.contains(REJECTED));
    }

    #[test]
    fn a_wait_is_told() {
        let refusal = Refusal::of(Role::Play, &ApiError::StreamNotLive);
        assert_eq!(refusal.code, "NetStream.Play.StreamNotFound");
        assert_eq!(refusal.description, "nobody publishes this stream now; try again in 2 s (stream-not-live)");
    }
}
