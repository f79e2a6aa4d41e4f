//! News between processes on [`crate::keys::EVENTS`], and to users on `GET /v1/events`.

use crate::{
    fleet::Placement,
    ids::{NodeId, SessionId, StreamId, TokenId, UserId},
    session::{EndReason, Session},
};
use serde::{Deserialize, Serialize};

/// A message on [`crate::keys::EVENTS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Its number, given by Redis; the next message has the next one. 0 for one that was not numbered.
    #[serde(default)]
    pub n: u64,
    /// The news.
    #[serde(flatten)]
    pub event: Event,
}

/// One piece of news. Pub/sub may lose it: whoever acts on one must also be able to find the same out by asking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A publisher was confirmed.
    StreamLive {
        /// Where it is now.
        placement: Placement,
        /// The stream's owner, for routing the news; absent when it could not be read.
        owner: Option<UserId>,
    },
    /// The publisher is gone.
    StreamEnded {
        /// Which stream.
        stream: StreamId,
        /// The epoch that ended; a newer placement is not touched by this news.
        epoch: u64,
        /// Its owner.
        owner: Option<UserId>,
        /// Why.
        reason: EndReason,
    },
    /// A session was opened.
    SessionOpened {
        /// The session.
        session: Session,
        /// Its stream's owner.
        owner: Option<UserId>,
    },
    /// A session ended.
    SessionClosed {
        /// Which one.
        id: SessionId,
        /// Its stream.
        stream: StreamId,
        /// Its stream's owner.
        owner: Option<UserId>,
        /// Why.
        reason: EndReason,
    },
    /// A token was revoked.
    TokenRevoked {
        /// Which one.
        jti: TokenId,
        /// Its own expiry, unix seconds: the revocation may be forgotten then.
        expires_at: u64,
    },
    /// A stream's visibility, keys or existence changed: cached answers about it are void.
    StreamChanged {
        /// Which one.
        stream: StreamId,
        /// Its owner.
        owner: Option<UserId>,
        /// It was deleted.
        deleted: bool,
    },
    /// A stream key was revoked or rotated away: cached answers about it are void.
    KeyRevoked {
        /// SHA-256 of the key in hexadecimal.
        hash: String,
    },
    /// The published secrets or token keys changed: read them again.
    SecretsChanged,
    /// The media nodes, or what one of them is, changed: read [`crate::keys::MEMBERS`] again unless its version is known.
    MembersChanged {
        /// [`crate::node::Membership::version`].
        version: u64,
    },
    /// A node was heard again, or for the first time.
    NodeUp {
        /// Which one.
        node: NodeId,
    },
    /// A node restarted (its run changed) or is silent; everything on its old run is gone.
    NodeDown {
        /// Which one.
        node: NodeId,
    },
}
