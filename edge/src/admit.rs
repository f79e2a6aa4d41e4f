//! Admission: from a credential to a verdict, in one round trip to Redis for the ordinary WHIP and WHEP POST.
//!
//! | | publish | play |
//! |---|---|---|
//! | stream key | check, then its hash in Redis, else control-api | never |
//! | token | signature, scope, then its `jti` in Redis every time | the same, asked for private streams only |
//! | nothing | never | public and unlisted streams |
//!
//! With Redis away, single-use tokens are told to come back, others pass on signature unless they are known to be revoked, keys and
//! visibility are asked of control-api (a stream stays as visible as it was while that is away too), limits are kept in memory, and every
//! such admission is counted.

mod credential;
mod limit;
mod play;
mod publish;
mod script;
mod viewer;

pub use credential::Claimed;
pub use limit::{Limiter, RateLimit};
pub use viewer::Standing;

use crate::{
    config::AuthMode,
    control::Control,
    error::{ApiError, Fault},
    metrics::{Degraded, Metrics},
    replica::Replica,
};
use kit::kv::{Cmd, Kv, KvError, Reply};
use proto::{
    SessionId, StreamId, TokenId,
    fleet::{Placement, StreamCache},
    internal::Credential,
    keys,
    session::Role,
    token::MediaClaims,
};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// How long "no such key" and "no such stream" are believed.
const NEGATIVE_FOR: Duration = Duration::from_secs(1);
/// Negative answers remembered at most.
const NEGATIVE_MAX: u64 = 50_000;

/// Who asks for what.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// A token or stream key.
    pub credential: Option<&'a str>,
    /// The client.
    pub client: IpAddr,
    /// The session this admission would open.
    pub session: SessionId,
}

impl std::fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("stream", self.stream).field("session", &self.session).finish_non_exhaustive()
    }
}

/// What was admitted.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// What let it in.
    pub credential: Credential,
    /// A single-use token that was taken, to be given back if the session does not come about.
    pub taken: Option<TokenId>,
    /// The stream's placement, if it was asked for and Redis has one.
    pub placement: Option<Placement>,
    /// What a token is good for besides.
    pub bounds: Bounds,
}

/// How far a token reaches; nothing is bounded where none was needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Unix seconds at which it expires.
    pub expires_at: Option<u64>,
    /// The only address it is good for.
    pub client: Option<IpAddr>,
}

/// Decides admissions; every clone shares its caches.
#[derive(Debug, Clone)]
pub struct Admission {
    mode: AuthMode,
    kv: Kv,
    replica: Replica,
    control: Control,
    limiter: Limiter,
    metrics: Metrics,
    no_such_key: moka::sync::Cache<Arc<str>, ()>,
    no_such_stream: moka::sync::Cache<StreamId, ()>,
}

impl Admission {
    /// Wires it.
    #[must_use]
    pub fn new(mode: AuthMode, limit: RateLimit, kv: Kv, replica: Replica, control: Control, metrics: Metrics) -> Self {
        let limiter = Limiter::new(limit);
        let no_such_key = moka::sync::Cache::builder().max_capacity(NEGATIVE_MAX).time_to_live(NEGATIVE_FOR).build();
        let no_such_stream = moka::sync::Cache::builder().max_capacity(NEGATIVE_MAX).time_to_live(NEGATIVE_FOR).build();
        Self { mode, kv, replica, control, limiter, metrics, no_such_key, no_such_stream }
    }

    /// Counts one request against an address's limit, without anything else.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`].
    pub async fn limit(&self, name: &'static str, client: IpAddr) -> Result<(), ApiError> {
        let Some(command) = self.limiter.command(name, client) else { return Ok(()) };
        match self.kv.one(command).await {
            Ok(reply) => Limiter::verdict(&reply),
            Err(error) => self.limit_locally(name, client, &error),
        }
    }

    fn limit_locally(&self, name: &'static str, client: IpAddr, error: &KvError) -> Result<(), ApiError> {
        if *error != KvError::Away {
            tracing::error!(%error, "a rate limit could not be asked of Redis");
        }
        self.metrics.degraded(Degraded::Limit);
        self.limiter.locally(name, client, kit::clock::since_epoch())
    }

    /// Runs the commands of one admission behind the limit, in one round trip. `Ok(None)`: Redis is away, the limit was kept here.
    async fn ask(&self, name: &'static str, client: IpAddr, commands: Vec<Cmd>) -> Result<Asked, ApiError> {
        let limit = self.limiter.command(name, client);
        let limited = limit.is_some();
        let all: Vec<Cmd> = limit.into_iter().chain(commands).collect();
        if all.is_empty() {
            return Ok(Asked { replies: Some(Vec::new()), limited: None });
        }
        match self.kv.run(all).await {
            Ok(mut replies) => {
                let verdict =
                    if limited && !replies.is_empty() { Limiter::verdict(&replies.remove(0)) } else { Ok(()) };
                Ok(Asked { replies: Some(replies), limited: verdict.err() })
            }
            Err(error) => {
                self.limit_locally(name, client, &error)?;
                Ok(Asked { replies: None, limited: None })
            }
        }
    }

    /// Checks a token against its `jti` as Redis gave it; `None` when Redis is away.
    async fn check_token(&self, claims: &MediaClaims, reply: Option<&Reply>) -> Result<(), ApiError> {
        match reply {
            Some(reply) if !reply.is_nil() => Ok(()),
            // A Redis that was flushed knows no token at all until control-api has filled it again.
            Some(_) if self.filled().await => Err(ApiError::TokenInvalid(Fault::Revoked)),
            Some(_) | None => self.token_by_signature(claims),
        }
    }

    fn token_by_signature(&self, claims: &MediaClaims) -> Result<(), ApiError> {
        if self.replica.revoked(&claims.jti) {
            return Err(ApiError::TokenInvalid(Fault::Revoked));
        }
        if claims.single_use {
            return Err(ApiError::Away { what: "redis" });
        }
        self.metrics.degraded(Degraded::Token);
        Ok(())
    }

    async fn filled(&self) -> bool {
        !matches!(self.kv.one(Cmd::get(keys::FILLED)).await, Ok(Reply::Nil) | Err(_))
    }

    /// Gives a single-use token back, if this session holds it.
    pub async fn give_back(&self, jti: TokenId, session: SessionId) {
        let given = self.kv.one(script::give_back(&jti, &session)).await;
        if let Err(error) = given {
            self.metrics.degraded(Degraded::GiveBack);
            tracing::warn!(%error, "a single-use token could not be given back");
        }
    }

    /// Asks control-api for a stream's visibility, believing "no such stream" for a second.
    async fn stream_of_control(&self, stream: &StreamId) -> Result<Option<StreamCache>, ApiError> {
        if self.no_such_stream.contains_key(stream) {
            return Err(ApiError::StreamUnknown);
        }
        match self.control.stream(stream).await {
            Ok(Some(cache)) => Ok(Some(cache)),
            Ok(None) => {
                self.no_such_stream.insert(stream.clone(), ());
                Err(ApiError::StreamUnknown)
            }
            Err(error) => {
                self.metrics.degraded(Degraded::Visibility);
                tracing::debug!(%error, "visibility is as it was when last asked, else private");
                Ok(None)
            }
        }
    }

    /// Checks a credential that came along with a session's own request: signature or check, and stream. It may have expired or been used.
    ///
    /// # Errors
    /// [`ApiError::TokenInvalid`] or [`ApiError::TokenScope`].
    pub fn check_bystander(&self, credential: &str, stream: &StreamId) -> Result<(), ApiError> {
        if self.mode == AuthMode::Open {
            return Ok(());
        }
        let secrets = self.replica.secrets().ok_or(ApiError::Away { what: "secrets" })?;
        credential::bystander(credential, &secrets, stream)
    }
}

struct Asked {
    /// `None`: Redis is away.
    replies: Option<Vec<Reply>>,
    limited: Option<ApiError>,
}

/// The name of the limit of a role's POSTs.
const fn limit_name(role: Role) -> &'static str {
    match role {
        Role::Publish => "publish",
        Role::Play => "play",
    }
}

#[cfg(test)]
mod tests;
