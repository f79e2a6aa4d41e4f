//! Tokens: signed JWTs (`EdDSA`) that allow one stream and one role for a while.

use crate::{
    ids::{StreamId, TokenId},
    session::Role,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The `iss` of every token of a cluster.
pub const ISSUER: &str = "keystone";
/// The `aud` of publish and play tokens; users' access tokens carry [`ACCESS_AUDIENCE`], so neither passes as the other.
pub const MEDIA_AUDIENCE: &str = "keystone-media";
/// The `aud` of users' access tokens.
pub const ACCESS_AUDIENCE: &str = "keystone-api";
/// Longest token text that is looked at, in bytes. Ours are under 500.
pub const TOKEN_LEN_MAX: usize = 2048;

/// Claims of a publish or play token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaClaims {
    /// [`ISSUER`].
    pub iss: String,
    /// [`MEDIA_AUDIENCE`].
    pub aud: String,
    /// Names the token in Redis and in the list of its stream.
    pub jti: TokenId,
    /// The stream it is for.
    pub stream: StreamId,
    /// What it allows.
    pub action: Role,
    /// Unix seconds.
    pub iat: u64,
    /// Unix seconds; not valid at or after this.
    pub exp: u64,
    /// Good for one admission only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single_use: bool,
    /// Only from this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
}

/// A public Ed25519 key by which edges check tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// Names the key in the JWT header.
    pub kid: String,
    /// The 32-byte public key, base64url without padding (a JWK's `x`).
    pub x: String,
}

/// How long a token may live, in seconds.
pub const TTL_MAX_SECONDS: u64 = 30 * 24 * 3600;
/// How long a token lives when its maker does not say, in seconds.
pub const TTL_DEFAULT_SECONDS: u64 = 3600;
