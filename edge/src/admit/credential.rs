//! What a credential says by itself, before anybody is asked. Pure.

use crate::{
    error::{ApiError, Fault, ScopeFault},
    replica::Secrets,
};
use kit::token::TokenError;
use proto::{StreamId, session::Role, stream_key::StreamKey, token::MediaClaims};
use std::net::IpAddr;

/// A credential whose signature or check is right and whose scope fits.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// A stream key, by its hash.
    Key {
        /// SHA-256 in hexadecimal.
        hash: String,
    },
    /// A token.
    Token(MediaClaims),
}

/// What the credential is to be good for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) role: Role,
    pub(super) stream: &'a StreamId,
    pub(super) client: IpAddr,
    pub(super) now_unix: u64,
}

/// Reads and checks a credential.
pub(super) fn read(text: &str, secrets: &Secrets, wanted: Wanted<'_>) -> Result<Claimed, ApiError> {
    if StreamKey::looks_like(text) {
        let key = key(text, secrets)?;
        return match wanted.role {
            Role::Play => Err(ApiError::TokenScope(ScopeFault::Action)),
            Role::Publish if key.stream() != wanted.stream => Err(ApiError::TokenScope(ScopeFault::Stream)),
            Role::Publish => Ok(Claimed::Key { hash: key.hash() }),
        };
    }
    let claims = secrets.tokens.verify(text, wanted.now_unix).map_err(fault)?;
    if claims.stream != *wanted.stream {
        return Err(ApiError::TokenScope(ScopeFault::Stream));
    }
    if claims.action != wanted.role {
        return Err(ApiError::TokenScope(ScopeFault::Action));
    }
    if claims.ip.is_some_and(|ip| ip.to_canonical() != wanted.client.to_canonical()) {
        return Err(ApiError::TokenScope(ScopeFault::Address));
    }
    Ok(Claimed::Token(claims))
}

/// Checks a credential sent along with a session's own request: who made it and for which stream, no more.
pub(super) fn bystander(text: &str, secrets: &Secrets, stream: &StreamId) -> Result<(), ApiError> {
    let of = if StreamKey::looks_like(text) {
        key(text, secrets)?.stream().clone()
    } else {
        secrets.tokens.verify_signature(text).map_err(fault)?.stream
    };
    if of == *stream { Ok(()) } else { Err(ApiError::TokenScope(ScopeFault::Stream)) }
}

fn key(text: &str, secrets: &Secrets) -> Result<StreamKey, ApiError> {
    let check = secrets.stream_key.as_deref().ok_or(ApiError::Away { what: "secrets" })?;
    StreamKey::parse(text, check).map_err(|_| ApiError::TokenInvalid(Fault::Unknown))
}

const fn fault(error: TokenError) -> ApiError {
    ApiError::TokenInvalid(match error {
        TokenError::Expired => Fault::Expired,
        TokenError::Malformed | TokenError::UnknownKey | TokenError::Signature => Fault::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use kit::token::{MediaKeys, MediaSigner};
    use proto::{
        TokenId,
        secret::{ClusterSecret, Keyring},
        token::{ISSUER, MEDIA_AUDIENCE, PublicKey},
    };

    const NOW: u64 = 1_000;

    fn stream(name: &str) -> StreamId {
        StreamId::parse(name).unwrap()
    }

    fn world() -> (MediaSigner, Secrets) {
        let pair = Ed25519KeyPair::generate().unwrap();
        let public =
            PublicKey { kid: "k".into(), x: data_encoding::BASE64URL_NOPAD.encode(pair.public_key().as_ref()) };
        let secrets = Secrets {
            keyring: Keyring { current: ClusterSecret::from_setting("s"), previous: None },
            stream_key: Some(std::sync::Arc::from([7; 32])),
            tokens: MediaKeys::new(&[public]),
        };
        (MediaSigner::new("k".into(), pair.to_pkcs8v1().unwrap().as_ref()), secrets)
    }

    fn claims(name: &str, action: Role) -> MediaClaims {
        MediaClaims {
            iss: ISSUER.into(),
            aud: MEDIA_AUDIENCE.into(),
            jti: TokenId::from_bytes([1; 16]),
            stream: stream(name),
            action,
            iat: NOW,
            exp: NOW + 60,
            single_use: false,
            ip: None,
        }
    }

    fn check(text: &str, secrets: &Secrets, role: Role, now_unix: u64) -> Result<Claimed, ApiError> {
        let cam = stream("cam");
        read(text, secrets, Wanted { role, stream: &cam, client: [192, 0, 2, 1].into(), now_unix })
    }

    #[test]
    fn tokens_are_good_for_their_stream_action_time_and_address() {
        let (signer, secrets) = world();
        let sign = |claims: &MediaClaims| signer.sign(claims).unwrap();
        let good = claims("cam", Role::Play);
        assert_eq!(check(&sign(&good), &secrets, Role::Play, NOW), Ok(Claimed::Token(good.clone())));
        let scope = |fault| Err(ApiError::TokenScope(fault));
        assert_eq!(check(&sign(&good), &secrets, Role::Publish, NOW), scope(ScopeFault::Action));
        assert_eq!(check(&sign(&claims("cat", Role::Play)), &secrets, Role::Play, NOW), scope(ScopeFault::Stream));
        let bound = |ip: &str| sign(&MediaClaims { ip: Some(ip.parse().unwrap()), ..good.clone() });
        assert_eq!(check(&bound("192.0.2.2"), &secrets, Role::Play, NOW), scope(ScopeFault::Address));
        assert!(check(&bound("::ffff:192.0.2.1"), &secrets, Role::Play, NOW).is_ok());
        assert_eq!(check(&sign(&good), &secrets, Role::Play, NOW + 100), Err(ApiError::TokenInvalid(Fault::Expired)));
        let (stranger, _) = world();
        assert_eq!(
            check(&stranger.sign(&good).unwrap(), &secrets, Role::Play, NOW),
            Err(ApiError::TokenInvalid(Fault::Unknown))
        );
        assert!(bystander(&sign(&good), &secrets, &stream("cam")).is_ok());
        assert_eq!(bystander(&sign(&good), &secrets, &stream("cat")), Err(ApiError::TokenScope(ScopeFault::Stream)));
    }

    #[test]
    fn stream_keys_publish_their_stream_and_play_nothing() {
        let (_, secrets) = world();
        let key = StreamKey::make(&stream("cam"), [1; 16], &[7; 32]);
        assert_eq!(check(key.expose(), &secrets, Role::Publish, NOW), Ok(Claimed::Key { hash: key.hash() }));
        assert_eq!(check(key.expose(), &secrets, Role::Play, NOW), Err(ApiError::TokenScope(ScopeFault::Action)));
        let made_up = StreamKey::make(&stream("cam"), [1; 16], b"other");
        assert_eq!(check(made_up.expose(), &secrets, Role::Publish, NOW), Err(ApiError::TokenInvalid(Fault::Unknown)));
        let other = StreamKey::make(&stream("cat"), [1; 16], &[7; 32]);
        assert_eq!(check(other.expose(), &secrets, Role::Publish, NOW), Err(ApiError::TokenScope(ScopeFault::Stream)));
    }
}
