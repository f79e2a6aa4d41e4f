//! Streams and who may see them.

use serde::{Deserialize, Serialize};

/// Who may play a stream, and whether lists show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Anybody plays it; listed while live.
    Public,
    /// Anybody who knows its id plays it; never listed.
    Unlisted,
    /// Only its owner, and holders of a play token. What is unknown counts as this.
    #[default]
    Private,
}

impl Visibility {
    /// The word used in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unlisted => "unlisted",
            Self::Private => "private",
        }
    }

    /// Reads the database's word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "public" => Some(Self::Public),
            "unlisted" => Some(Self::Unlisted),
            "private" => Some(Self::Private),
            _ => None,
        }
    }
}
