//! Names of things, made only by parsing: a value of these types is known to be well formed.
//!
//! Stream and node ids travel in URLs, SRS queries and Redis keys, so their alphabet is the one that none of those escapes,
//! splits or aliases: SRS cuts a stream name at its last dot and splits queries on `=`, `,`, `&` and `;` (docs/srs.md).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// No character at all.
    #[error("{what} is empty")]
    Empty {
        /// Which kind of id was read.
        what: &'static str,
    },
    /// More characters than the kind allows.
    #[error("{what} has {got} characters, at most {limit} are allowed")]
    TooLong {
        /// Which kind of id was read.
        what: &'static str,
        /// Bytes given.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A character outside the kind's alphabet.
    #[error("{what} may only have letters, digits, `-` and `_`")]
    Alphabet {
        /// Which kind of id was read.
        what: &'static str,
    },
}

fn check(what: &'static str, limit: usize, text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what });
    }
    if text.len() > limit {
        return Err(IdError::TooLong { what, got: text.len(), limit });
    }
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        Ok(())
    } else {
        Err(IdError::Alphabet { what })
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
        #[schema(value_type = String)]
        pub struct $name(Box<str>);

        impl $name {
            /// Longest id of this kind, in bytes (all of them ASCII).
            pub const LEN_MAX: usize = $limit;

            /// Reads an id.
            ///
            /// # Errors
            /// The rule that `text` breaks.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check($what, $limit, text)?;
                Ok(Self(text.into()))
            }

            /// The id's characters.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// A stream: made by control-api, URL-safe, and the SRS stream name under app `live`.
    StreamId,
    "stream id",
    64
);
text_id!(
    /// One SRS process, by the `server_id` it was enrolled with.
    NodeId,
    "node id",
    32
);
text_id!(
    /// One run of an SRS process: SRS draws a new `service_id` at each start, so a change means a restart.
    ServiceId,
    "service id",
    32
);
text_id!(
    /// One edge-gateway process.
    EdgeId,
    "edge id",
    24
);
text_id!(
    /// One control-api process.
    ControlId,
    "control id",
    24
);
text_id!(
    /// A connection as one SRS process calls it; unique only together with node and service.
    ClientId,
    "client id",
    32
);

/// Length in bytes of ids that are random numbers.
const RANDOM_ID_BYTES: usize = 16;

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
        #[schema(value_type = String)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// Wraps 128 bits drawn by the caller.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; RANDOM_ID_BYTES]) -> Self {
                Self(uuid::Uuid::from_bytes(bytes))
            }

            /// Wraps a number that is already an UUID.
            #[must_use]
            pub const fn from_uuid(id: uuid::Uuid) -> Self {
                Self(id)
            }

            /// The number as the database keeps it.
            #[must_use]
            pub const fn uuid(&self) -> uuid::Uuid {
                self.0
            }

            /// The number, big-endian.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; RANDOM_ID_BYTES] {
                self.0.as_bytes()
            }

            /// Reads 32 hexadecimal digits, with or without hyphens.
            ///
            /// # Errors
            #[doc = concat!("[`IdError::Alphabet`] for anything else; the ", $what, " is then unknown.")]
            pub fn parse(text: &str) -> Result<Self, IdError> {
                uuid::Uuid::try_parse(text).map(Self).map_err(|_| IdError::Alphabet { what: $what })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

random_id!(
    /// One publisher or one viewer, on any protocol, from its first hook or POST to its end.
    SessionId,
    "session id"
);
random_id!(
    /// A user.
    UserId,
    "user id"
);
random_id!(
    /// A token's `jti`.
    TokenId,
    "token id"
);
random_id!(
    /// One publish from start to end, kept as history.
    BroadcastId,
    "broadcast id"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stream_ids_have_no_dots_separators_or_escapes() {
        for bad in ["", "a.b", "a/b", "a b", "a%20", "a=b", "a;b", "a,b", "a&b", "ä", "..", "a\0"] {
            assert!(StreamId::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(StreamId::parse("Cam_1-x").unwrap().as_str(), "Cam_1-x");
        assert!(StreamId::parse(&"x".repeat(64)).is_ok());
        assert_eq!(
            StreamId::parse(&"x".repeat(65)).unwrap_err(),
            IdError::TooLong { what: "stream id", got: 65, limit: 64 }
        );
    }

    proptest! {
        #[test]
        fn session_ids_round_trip(bytes: [u8; 16]) {
            let id = SessionId::from_bytes(bytes);
            prop_assert_eq!(SessionId::parse(&id.to_string()).unwrap(), id);
        }

        #[test]
        fn parsing_never_panics(text: String) {
            let ok = StreamId::parse(&text).is_ok();
            prop_assert_eq!(ok, !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        }
    }
}
