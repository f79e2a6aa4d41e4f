//! Checking and signing JWTs: publish and play tokens (`EdDSA`) and users' access tokens (HS256).
//!
//! The algorithm comes from the key that `kid` names, never from the token's header. The clock is an argument.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use proto::token::{ISSUER, MEDIA_AUDIENCE, MediaClaims, PublicKey, TOKEN_LEN_MAX};
use serde::{Serialize, de::DeserializeOwned};

/// Why a JWT is not good. Which part was wrong is for logs and metrics; a client hears "invalid token".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`TOKEN_LEN_MAX`], not a JWT, or claims that are not ours.
    #[error("not a token")]
    Malformed,
    /// Signed with a key that is not (or no longer) known.
    #[error("the token's key is not known here")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

/// Clocks of control-api and edges may differ by this much, in seconds.
pub const LEEWAY_SECONDS: u64 = 5;

/// The public keys of publish and play tokens.
#[derive(Clone, Default)]
pub struct MediaKeys(Vec<(String, DecodingKey)>);

impl std::fmt::Debug for MediaKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(kid, _)| kid)).finish()
    }
}

impl MediaKeys {
    /// Takes the published keys; one that cannot be read is left out and logged.
    #[must_use]
    pub fn new(keys: &[PublicKey]) -> Self {
        let read = |key: &PublicKey| match DecodingKey::from_ed_components(&key.x) {
            Ok(decoding) => Some((key.kid.clone(), decoding)),
            Err(error) => {
                tracing::error!(kid = key.kid, %error, "a published token key cannot be read");
                None
            }
        };
        Self(keys.iter().filter_map(read).collect())
    }

    /// Verifies a publish or play token's signature, issuer, audience and times.
    ///
    /// # Errors
    /// [`TokenError`]. Whether it was revoked or used is Redis's to say.
    pub fn verify(&self, token: &str, now_unix: u64) -> Result<MediaClaims, TokenError> {
        let claims = self.verify_signature(token)?;
        if now_unix >= claims.exp.saturating_add(LEEWAY_SECONDS) { Err(TokenError::Expired) } else { Ok(claims) }
    }

    /// Verifies all but the times: a session's own requests may carry a token that has expired since.
    ///
    /// # Errors
    /// [`TokenError`], never `Expired`.
    pub fn verify_signature(&self, token: &str) -> Result<MediaClaims, TokenError> {
        let kid = kid_of(token)?;
        let (_, key) = self.0.iter().find(|(known, _)| *known == kid).ok_or(TokenError::UnknownKey)?;
        decode(token, key, Algorithm::EdDSA, MEDIA_AUDIENCE)
    }
}

/// Signs publish and play tokens.
#[derive(Clone)]
pub struct MediaSigner {
    kid: String,
    key: EncodingKey,
}

impl std::fmt::Debug for MediaSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MediaSigner({})", self.kid)
    }
}

impl MediaSigner {
    /// Takes an Ed25519 key as PKCS#8 DER.
    #[must_use]
    pub fn new(kid: String, pkcs8: &[u8]) -> Self {
        Self { kid, key: EncodingKey::from_ed_der(pkcs8) }
    }

    /// Signs.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] if the key is not an Ed25519 key.
    pub fn sign(&self, claims: &MediaClaims) -> Result<String, TokenError> {
        encode(claims, &self.key, Algorithm::EdDSA, &self.kid)
    }
}

/// Signs and checks HS256 tokens under a secret that rotates.
#[derive(Clone)]
pub struct SharedKeys {
    current: (String, EncodingKey),
    known: Vec<(String, DecodingKey)>,
}

impl std::fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedKeys({})", self.current.0)
    }
}

impl SharedKeys {
    /// Takes the current secret and the one before. A key's `kid` is made from the secret, so every process names it alike.
    #[must_use]
    pub fn new(current: &str, previous: Option<&str>) -> Self {
        let known = std::iter::once(current).chain(previous);
        let known = known.map(|secret| (kid_for(secret), DecodingKey::from_secret(secret.as_bytes()))).collect();
        Self { current: (kid_for(current), EncodingKey::from_secret(current.as_bytes())), known }
    }

    /// Signs with the current secret.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] if the claims cannot be written as JSON.
    pub fn sign<T: Serialize>(&self, claims: &T) -> Result<String, TokenError> {
        encode(claims, &self.current.1, Algorithm::HS256, &self.current.0)
    }

    /// Verifies signature, issuer and `audience`. Times are the caller's to compare.
    ///
    /// # Errors
    /// [`TokenError`], never `Expired`.
    pub fn verify<T: DeserializeOwned>(&self, token: &str, audience: &str) -> Result<T, TokenError> {
        let kid = kid_of(token)?;
        let (_, key) = self.known.iter().find(|(known, _)| *known == kid).ok_or(TokenError::UnknownKey)?;
        decode(token, key, Algorithm::HS256, audience)
    }
}

fn kid_for(secret: &str) -> String {
    let mac = proto::secret::mac(secret.as_bytes(), &[b"keystone kid v1"]);
    BASE64URL_NOPAD.encode(mac.get(..6).unwrap_or_default())
}

fn kid_of(token: &str) -> Result<String, TokenError> {
    if token.len() > TOKEN_LEN_MAX {
        return Err(TokenError::Malformed);
    }
    jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid).ok_or(TokenError::Malformed)
}

fn encode<T: Serialize>(claims: &T, key: &EncodingKey, algorithm: Algorithm, kid: &str) -> Result<String, TokenError> {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, key).map_err(|_| TokenError::Malformed)
}

fn decode<T: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
    audience: &str,
) -> Result<T, TokenError> {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["iss", "aud"]);
    // The library would ask the clock itself.
    validation.validate_exp = false;
    let decoded = jsonwebtoken::decode::<T>(token, key, &validation);
    decoded.map(|data| data.claims).map_err(|error| {
        let wrong = matches!(error.kind(), jsonwebtoken::errors::ErrorKind::InvalidSignature);
        if wrong { TokenError::Signature } else { TokenError::Malformed }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use proto::{StreamId, TokenId, session::Role};

    fn pair(kid: &str) -> (MediaSigner, PublicKey) {
        let pair = Ed25519KeyPair::generate().unwrap();
        let der = pair.to_pkcs8v1().unwrap();
        let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
        (MediaSigner::new(kid.to_owned(), der.as_ref()), PublicKey { kid: kid.to_owned(), x })
    }

    fn claims(exp: u64) -> MediaClaims {
        MediaClaims {
            iss: ISSUER.to_owned(),
            aud: MEDIA_AUDIENCE.to_owned(),
            jti: TokenId::from_bytes([1; 16]),
            stream: StreamId::parse("cam").unwrap(),
            action: Role::Publish,
            iat: 1,
            exp,
            single_use: true,
            ip: None,
        }
    }

    #[test]
    fn a_token_verifies_until_it_expires_and_only_with_its_key() {
        let (signer, public) = pair("k1");
        let (_, other) = pair("k1");
        let token = signer.sign(&claims(100)).unwrap();
        let keys = MediaKeys::new(&[public]);
        assert_eq!(keys.verify(&token, 99).unwrap(), claims(100));
        assert_eq!(keys.verify(&token, 100 + LEEWAY_SECONDS), Err(TokenError::Expired));
        assert!(keys.verify_signature(&token).is_ok());
        assert_eq!(MediaKeys::new(&[other]).verify(&token, 1), Err(TokenError::Signature));
        assert_eq!(MediaKeys::default().verify(&token, 1), Err(TokenError::UnknownKey));
        assert_eq!(keys.verify("a.b.c", 1), Err(TokenError::Malformed));
        assert_eq!(keys.verify(&"x".repeat(TOKEN_LEN_MAX + 1), 1), Err(TokenError::Malformed));
    }

    #[test]
    fn a_media_token_is_no_access_token_and_the_other_way() {
        let (signer, public) = pair("k1");
        let shared = SharedKeys::new("secret-one", None);
        let media = signer.sign(&claims(100)).unwrap();
        assert!(shared.verify::<MediaClaims>(&media, proto::token::ACCESS_AUDIENCE).is_err());
        let access = shared.sign(&claims(100)).unwrap();
        assert!(MediaKeys::new(&[public]).verify(&access, 1).is_err());
        assert!(shared.verify::<MediaClaims>(&access, proto::token::ACCESS_AUDIENCE).is_err(), "another audience");
    }

    #[test]
    fn a_rotated_secret_still_verifies() {
        let old = SharedKeys::new("secret-one", None).sign(&claims(100)).unwrap();
        assert!(SharedKeys::new("secret-two", Some("secret-one")).verify::<MediaClaims>(&old, MEDIA_AUDIENCE).is_ok());
        assert_eq!(
            SharedKeys::new("secret-two", None).verify::<MediaClaims>(&old, MEDIA_AUDIENCE),
            Err(TokenError::UnknownKey)
        );
    }
}
