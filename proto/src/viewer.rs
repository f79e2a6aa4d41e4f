//! Viewer values: what admits one HLS viewer's requests after the first, at any edge.
//!
//! An edge that admits a viewer mints one and writes it into the playlist's URIs as `?v=`; every edge of the cluster verifies it without asking. It is
//! bound to the stream, which it does not carry, and to the client's address if the token was. It admits while the session it names runs; until
//! [`Viewer::expires_at`] it also opens that session anew, as the token would.
//!
//! Layout (big-endian), then base64url without padding, at most [`VIEWER_LEN_MAX`] characters:
//! `version u8 | generation u8 | minted u32 | expires u32 | session [16] | token tag u8 (0, 1) + 0/16 bytes | address tag u8 (0, 4, 6) + 0/4/16 bytes |
//! edge length u8 + bytes | mac [16]`.

use crate::{
    ids::{EdgeId, SessionId, StreamId, TokenId},
    secret::{ClusterSecret, Keyring, Purpose, mac, same},
    ticket::put_origin,
};
use data_encoding::BASE64URL_NOPAD;
use std::net::IpAddr;

/// The query parameter that carries a viewer value.
pub const PARAM: &str = "v";
/// Longest viewer value that is looked at, in characters.
pub const VIEWER_LEN_MAX: usize = 160;
/// How long the value of a viewer who needed no token may open its session anew, in seconds.
pub const LIFE_SECONDS: u64 = 24 * 3_600;

const VERSION: u8 = 1;
const MAC_BYTES: usize = 16;

/// What an edge admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// The session it opened.
    pub session: SessionId,
    /// The token that let it in; `None` where none was needed.
    pub token: Option<TokenId>,
    /// The only address it is good for; `None` for any.
    pub client: Option<IpAddr>,
    /// The edge that opened the session.
    pub edge: EdgeId,
    /// Unix seconds.
    pub minted_at: u64,
    /// Unix seconds after which it opens nothing: the token's own expiry.
    pub expires_at: u64,
}

/// The text is no viewer value of this cluster for this stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a viewer value for this stream")]
pub struct ViewerError;

impl Viewer {
    /// Writes it for one stream.
    #[must_use]
    pub fn seal(&self, secret: &ClusterSecret, stream: &StreamId) -> String {
        let mut out = Vec::with_capacity(VIEWER_LEN_MAX);
        out.extend([VERSION, secret.generation()]);
        for time in [self.minted_at, self.expires_at] {
            out.extend(u32::try_from(time).unwrap_or(u32::MAX).to_be_bytes());
        }
        out.extend(self.session.as_bytes());
        out.push(u8::from(self.token.is_some()));
        out.extend(self.token.iter().flat_map(TokenId::as_bytes));
        put_origin(&mut out, self.client, &self.edge);
        let tag = tag_of(&out, secret, stream);
        out.extend(tag);
        BASE64URL_NOPAD.encode(&out)
    }

    /// Reads and verifies a value for one stream. Whether its session still runs, its time and its address are the caller's to ask.
    ///
    /// # Errors
    /// [`ViewerError`] for anything that this cluster did not make for `stream`.
    pub fn open(text: &str, keys: &Keyring, stream: &StreamId) -> Result<Self, ViewerError> {
        if text.len() > VIEWER_LEN_MAX {
            return Err(ViewerError);
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| ViewerError)?;
        let body_len = bytes.len().checked_sub(MAC_BYTES).ok_or(ViewerError)?;
        let (body, tag) = bytes.split_at_checked(body_len).ok_or(ViewerError)?;
        let (viewer, generation) = Self::read(body).ok_or(ViewerError)?;
        let mut known = keys.all().filter(|secret| secret.generation() == generation);
        if known.any(|secret| same(&tag_of(body, secret, stream), tag)) { Ok(viewer) } else { Err(ViewerError) }
    }

    fn read(body: &[u8]) -> Option<(Self, u8)> {
        let (&[version, generation], rest) = body.split_first_chunk::<2>()?;
        if version != VERSION {
            return None;
        }
        let (minted, rest) = rest.split_first_chunk::<4>()?;
        let (expires, rest) = rest.split_first_chunk::<4>()?;
        let (session, rest) = rest.split_first_chunk::<16>()?;
        let (token, rest) = match rest.split_first()? {
            (0, rest) => (None, rest),
            (1, rest) => rest.split_first_chunk::<16>().map(|(jti, rest)| (Some(TokenId::from_bytes(*jti)), rest))?,
            _ => return None,
        };
        let (client, rest) = match rest.split_first()? {
            (0, rest) => (None, rest),
            (4, rest) => rest.split_first_chunk::<4>().map(|(ip, rest)| (Some(IpAddr::from(*ip)), rest))?,
            (6, rest) => rest.split_first_chunk::<16>().map(|(ip, rest)| (Some(IpAddr::from(*ip)), rest))?,
            _ => return None,
        };
        let (&edge_len, rest) = rest.split_first()?;
        if rest.len() != usize::from(edge_len) {
            return None;
        }
        let viewer = Self {
            session: SessionId::from_bytes(*session),
            token,
            client,
            edge: EdgeId::parse(std::str::from_utf8(rest).ok()?).ok()?,
            minted_at: u64::from(u32::from_be_bytes(*minted)),
            expires_at: u64::from(u32::from_be_bytes(*expires)),
        };
        Some((viewer, generation))
    }
}

fn tag_of(body: &[u8], secret: &ClusterSecret, stream: &StreamId) -> [u8; MAC_BYTES] {
    let full = mac(&secret.key(Purpose::Viewer), &[body, stream.as_str().as_bytes()]);
    let mut tag = [0; MAC_BYTES];
    tag.iter_mut().zip(full).for_each(|(to, from)| *to = from);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn viewer() -> Viewer {
        Viewer {
            session: SessionId::from_bytes([1; 16]),
            token: Some(TokenId::from_bytes([2; 16])),
            client: Some("2001:db8::1".parse().unwrap()),
            edge: EdgeId::parse("edge-0123456789abcdefghi").unwrap(),
            minted_at: 1_000,
            expires_at: 2_000,
        }
    }

    fn ring(text: &str) -> Keyring {
        Keyring { current: ClusterSecret::from_setting(text), previous: None }
    }

    fn stream(name: &str) -> StreamId {
        StreamId::parse(name).unwrap()
    }

    #[test]
    fn any_edge_reads_it_for_its_stream_only() {
        let keys = ring("a");
        for value in [viewer(), Viewer { token: None, client: None, ..viewer() }] {
            let text = value.seal(&keys.current, &stream("cam"));
            assert!(text.len() <= VIEWER_LEN_MAX, "{}", text.len());
            assert_eq!(Viewer::open(&text, &keys, &stream("cam")), Ok(value));
            assert_eq!(Viewer::open(&text, &keys, &stream("cam2")), Err(ViewerError));
            assert_eq!(Viewer::open(&text, &ring("b"), &stream("cam")), Err(ViewerError));
        }
        let text = viewer().seal(&keys.current, &stream("cam"));
        let rotated = Keyring { current: ClusterSecret::from_setting("b"), previous: Some(keys.current) };
        assert_eq!(Viewer::open(&text, &rotated, &stream("cam")), Ok(viewer()));
    }

    proptest! {
        #[test]
        fn damage_and_junk_are_refused(at in 0_usize..140, to: u8, junk: String) {
            let keys = ring("a");
            let text = viewer().seal(&keys.current, &stream("cam"));
            let mut bytes = text.clone().into_bytes();
            if let Some(byte) = bytes.get_mut(at) { *byte = to; }
            let damaged = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert_eq!(Viewer::open(&damaged, &keys, &stream("cam")).is_ok(), damaged == text);
            prop_assert!(Viewer::open(&junk, &keys, &stream("cam")).is_err());
        }
    }
}
