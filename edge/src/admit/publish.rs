//! Who may publish.

use super::{Admission, Admitted, Ask, Claimed, credential, limit_name, script};
use crate::{
    config::AuthMode,
    control::ControlError,
    error::{ApiError, Fault},
    metrics::Degraded,
};
use kit::kv::{Cmd, Reply};
use proto::{StreamId, fleet::KeyCache, internal::Credential, keys, session::Role};
use std::sync::Arc;

impl Admission {
    /// Decides whether a publisher may try.
    ///
    /// # Errors
    /// The refusal; a single-use token is not held then.
    pub async fn publish(&self, ask: Ask<'_>) -> Result<Admitted, ApiError> {
        let claimed = self.claimed(ask);
        let question = match &claimed {
            Ok(Some(Claimed::Key { hash })) => Some(Cmd::get(&keys::stream_key(hash))),
            Ok(Some(Claimed::Token(claims))) if claims.single_use => Some(script::take(&claims.jti, &ask.session)),
            Ok(Some(Claimed::Token(claims))) => Some(Cmd::get(&keys::token(&claims.jti))),
            Ok(None) | Err(_) => None,
        };
        let asked = self.ask(limit_name(Role::Publish), ask.client, question.into_iter().collect()).await?;
        let reply = asked.replies.as_ref().and_then(|replies| replies.first());
        let verdict = match (asked.limited, claimed) {
            (Some(limited), Ok(Some(Claimed::Token(claims)))) if claims.single_use => {
                self.give_back(claims.jti, ask.session).await;
                Err(limited)
            }
            (Some(limited), _) => Err(limited),
            (None, Err(refusal)) => Err(refusal),
            (None, Ok(None)) => Ok((Credential::Open, None)),
            (None, Ok(Some(Claimed::Key { hash }))) => {
                self.check_key(&hash, ask.stream, reply).await.map(|()| (Credential::StreamKey { hash }, None))
            }
            (None, Ok(Some(Claimed::Token(claims)))) if claims.single_use => {
                let taken = match reply {
                    Some(reply) => self.taken(&claims, reply).await,
                    None => {
                        // The round trip may have been carried out and its answer lost.
                        self.give_back(claims.jti, ask.session).await;
                        self.check_token(&claims, None).await
                    }
                };
                taken.map(|()| (Credential::Token { jti: claims.jti }, Some(claims.jti)))
            }
            (None, Ok(Some(Claimed::Token(claims)))) => {
                self.check_token(&claims, reply).await.map(|()| (Credential::Token { jti: claims.jti }, None))
            }
        };
        verdict.map(|(credential, taken)| Admitted {
            credential,
            taken,
            placement: None,
            bounds: super::Bounds::default(),
        })
    }

    /// What the credential says by itself; `None` when none is asked for.
    fn claimed(&self, ask: Ask<'_>) -> Result<Option<Claimed>, ApiError> {
        if self.mode == AuthMode::Open {
            return Ok(None);
        }
        self.claimed_for(Role::Publish, ask).map(Some)
    }

    pub(super) fn claimed_for(&self, role: Role, ask: Ask<'_>) -> Result<Claimed, ApiError> {
        let text = ask.credential.ok_or(ApiError::TokenMissing)?;
        let secrets = self.replica.secrets().ok_or(ApiError::Away { what: "secrets" })?;
        let wanted = credential::Wanted { role, stream: ask.stream, client: ask.client, now_unix: kit::clock::unix() };
        credential::read(text, &secrets, wanted)
    }

    /// Reads the answer to taking a single-use token.
    pub(super) async fn taken(&self, claims: &proto::token::MediaClaims, reply: &Reply) -> Result<(), ApiError> {
        match reply.int() {
            Ok(1) => Ok(()),
            Ok(0) => Err(ApiError::TokenInvalid(Fault::Used)),
            _ => self.check_token(claims, Some(&Reply::Nil)).await,
        }
    }

    async fn check_key(&self, hash: &str, stream: &StreamId, reply: Option<&Reply>) -> Result<(), ApiError> {
        if let Some(cache) = reply.and_then(|reply| reply.json::<KeyCache>().ok().flatten()) {
            return good_key(&cache, stream);
        }
        let hash: Arc<str> = hash.into();
        if self.no_such_key.contains_key(&hash) {
            return Err(ApiError::TokenInvalid(Fault::Revoked));
        }
        if reply.is_none() {
            self.metrics.degraded(Degraded::Key);
        }
        match self.control.key(&hash).await {
            Ok(Some(cache)) => good_key(&cache, stream),
            Ok(None) | Err(ControlError::NotFound) => {
                self.no_such_key.insert(hash, ());
                Err(ApiError::TokenInvalid(Fault::Revoked))
            }
            Err(_) => Err(ApiError::Away { what: "control-api" }),
        }
    }
}

fn good_key(cache: &KeyCache, stream: &StreamId) -> Result<(), ApiError> {
    if cache.stream != *stream {
        return Err(ApiError::TokenScope(crate::error::ScopeFault::Stream));
    }
    if cache.expires_at.is_some_and(|end| kit::clock::unix() >= end) {
        return Err(ApiError::TokenInvalid(Fault::Expired));
    }
    Ok(())
}
