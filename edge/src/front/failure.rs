//! What another process's failure is to the client, by what was checked before.

use crate::{control::ControlError, error::ApiError, srs::SrsError};

/// A reservation that did not come about.
pub(super) fn of_control(error: ControlError) -> ApiError {
    match error {
        ControlError::Busy { retry_after } => ApiError::StreamBusy { retry_after },
        ControlError::NotFound => ApiError::StreamUnknown,
        ControlError::Away => ApiError::Away { what: "control-api" },
        ControlError::Refused(_) => ApiError::Internal,
    }
}

/// A node that did not open a session, after offer, credential and claim were found good: what is left is the node's own doing.
pub(super) fn of_node(error: SrsError) -> ApiError {
    match error {
        SrsError::NotListening | SrsError::Unreachable | SrsError::TimedOut => ApiError::NodeUnavailable,
        SrsError::HungUp | SrsError::BadAnswer(_) => ApiError::UpstreamRefused,
        SrsError::Busy => ApiError::StreamBusy { retry_after: crate::error::BUSY_RETRY_SECONDS },
        SrsError::Refused => ApiError::Refused,
        SrsError::Offer => ApiError::SdpUnsupported("the media node cannot serve this offer".to_owned()),
    }
}
