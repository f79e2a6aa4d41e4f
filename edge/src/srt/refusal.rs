//! What a refusal is to an SRT caller. docs/srt.md has the same table; a test compares them.

use crate::error::ApiError;
use proto::wire::srt::{StreamIdError, reject};

/// The reason a caller is given for a refusal.
#[must_use]
pub const fn reason(error: &ApiError) -> u32 {
    match error {
        ApiError::TokenMissing | ApiError::TokenInvalid(_) => reject::UNAUTHORIZED,
        ApiError::TokenScope(_) | ApiError::Refused => reject::FORBIDDEN,
        ApiError::StreamUnknown | ApiError::StreamNotLive | ApiError::SessionUnknown | ApiError::NotFound => {
            reject::NOT_FOUND
        }
        ApiError::StreamBusy { .. } => reject::CONFLICT,
        ApiError::RateLimited { .. } | ApiError::EdgeFull => reject::OVERLOAD,
        ApiError::NodeUnavailable | ApiError::MediaLate | ApiError::Leaving | ApiError::Away { .. } => reject::DOWN,
        ApiError::UpstreamRefused => reject::GATEWAY,
        ApiError::Query(_) => reject::BAD_REQUEST,
        ApiError::Internal
        | ApiError::MethodNotAllowed { .. }
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
        | ApiError::SegmentUnknown
        | ApiError::ThumbnailAbsent
        | ApiError::ThumbnailsOff => reject::INTERNAL,
    }
}

/// The reason a caller is given whose stream id cannot be served.
pub(super) const fn of_stream_id(error: StreamIdError) -> u32 {
    match error {
        StreamIdError::Mode => reject::BAD_MODE,
        StreamIdError::Missing
        | StreamIdError::NoResource
        | StreamIdError::App
        | StreamIdError::Stream(_)
        | StreamIdError::Type
        | StreamIdError::Part
        | StreamIdError::Twice(_) => reject::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_documented_reasons_are_the_ones_in_code() {
        let docs = include_str!("../../../docs/srt.md");
        let documented: BTreeSet<(String, u32)> = docs
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
                Some((cells.next()?.trim_end_matches('`').to_owned(), cells.next()?.parse().ok()?))
            })
            .collect();
        let coded: BTreeSet<(String, u32)> = ApiError::all()
            .iter()
            .map(|error| (error.row().code.to_owned(), reason(error)))
            .filter(|(_, reason)| *reason != reject::INTERNAL)
            .chain([("internal".to_owned(), reject::INTERNAL)])
            .collect();
        assert_eq!(documented, coded);
    }
}
