//! Who may play.

use super::{Admission, Admitted, Ask, Bounds, Claimed, limit_name, script};
use crate::{config::AuthMode, error::ApiError};
use kit::kv::{Cmd, Reply};
use proto::{
    StreamId, TokenId,
    fleet::{Placement, StreamCache},
    internal::Credential,
    keys,
    session::Role,
    stream::Visibility,
};

impl Admission {
    /// Decides whether a viewer may try, and brings the stream's placement along if `want_placement`.
    ///
    /// # Errors
    /// The refusal; a single-use token is not held then.
    pub async fn play(&self, ask: Ask<'_>, want_placement: bool) -> Result<Admitted, ApiError> {
        let open = self.mode == AuthMode::Open;
        let claimed = if open { Err(ApiError::TokenMissing) } else { self.claimed_for(Role::Play, ask) };
        let mut commands = Vec::with_capacity(3);
        if !open {
            commands.push(Cmd::get(&keys::stream(ask.stream)));
        }
        if let Ok(Claimed::Token(claims)) = &claimed {
            commands.push(Cmd::get(&keys::token(&claims.jti)));
        }
        if want_placement {
            commands.push(Cmd::get(&keys::placement(ask.stream)));
        }
        let asked = self.ask(limit_name(Role::Play), ask.client, commands).await?;
        if let Some(limited) = asked.limited {
            return Err(limited);
        }
        let mut replies = asked.replies.map(Vec::into_iter);
        let mut next = |wanted: bool| if wanted { replies.as_mut().and_then(Iterator::next) } else { None };
        let (stream, token) = (next(!open), next(claimed.is_ok()));
        let placement = next(want_placement).and_then(|reply| reply.json::<Placement>().ok().flatten());
        if open {
            return Ok(Admitted { credential: Credential::Open, taken: None, placement, bounds: Bounds::default() });
        }
        if self.visible(ask.stream, stream.as_ref()).await? != Visibility::Private {
            return Ok(Admitted { credential: Credential::Open, taken: None, placement, bounds: Bounds::default() });
        }
        let Claimed::Token(claims) = claimed? else { return Err(ApiError::Internal) };
        self.check_token(&claims, token.as_ref()).await?;
        let taken = if claims.single_use { Some(self.take(&claims, ask).await?) } else { None };
        let bounds = Bounds { expires_at: Some(claims.exp), client: claims.ip };
        Ok(Admitted { credential: Credential::Token { jti: claims.jti }, taken, placement, bounds })
    }

    /// Who may play, by Redis, else control-api, else as it was when last asked, else nobody without a token.
    pub(super) async fn visible(&self, stream: &StreamId, reply: Option<&Reply>) -> Result<Visibility, ApiError> {
        let cached = reply.and_then(|reply| reply.json::<StreamCache>().ok().flatten());
        let known = match cached {
            Some(cache) => Some(cache),
            None => self.stream_of_control(stream).await?,
        };
        match known {
            Some(cache) => {
                self.replica.learn_visibility(stream, cache.visibility);
                Ok(cache.visibility)
            }
            None => Ok(self.replica.visibility(stream).unwrap_or(Visibility::Private)),
        }
    }

    async fn take(&self, claims: &proto::token::MediaClaims, ask: Ask<'_>) -> Result<TokenId, ApiError> {
        match self.kv.one(script::take(&claims.jti, &ask.session)).await {
            Ok(reply) => self.taken(claims, &reply).await.map(|()| claims.jti),
            Err(_) => Err(ApiError::Away { what: "redis" }),
        }
    }
}
