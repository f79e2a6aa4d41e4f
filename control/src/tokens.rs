//! Publish and play tokens: signed here, listed in Postgres, valid while Redis names them.

use crate::{
    app::State,
    domain::token::{TOKENS_PER_STREAM_MAX, ttl_seconds},
    error::ApiError,
    sessions::live::{By, end_by},
    store::{
        cache,
        pg::{audit, tokens as store},
    },
    streams::Actor,
};
use kit::clock;
use proto::{
    StreamId, TokenId,
    api::{CreateToken, IssuedToken, Token},
    internal::Credential,
    session::EndReason,
    token::{ISSUER, MEDIA_AUDIENCE, MediaClaims},
};
use serde_json::json;
use time::OffsetDateTime;

/// Issues a token. With Redis away it is stored all the same, and valid once Redis is refilled.
///
/// # Errors
/// A life that is too long; [`ApiError::TooManyTokens`].
pub async fn issue(state: &State, stream: &StreamId, body: &CreateToken, by: &Actor) -> Result<IssuedToken, ApiError> {
    let ttl = ttl_seconds(body.ttl_seconds)?;
    let now = clock::unix();
    let at = |unix: u64| OffsetDateTime::from_unix_timestamp(i64::try_from(unix).unwrap_or(i64::MAX));
    let info = Token {
        id: TokenId::from_bytes(kit::random::bytes()),
        action: body.action,
        single_use: body.single_use,
        ip: body.ip.map(|ip| ip.to_canonical()),
        created_at: at(now).map_err(ApiError::internal)?,
        expires_at: at(now + ttl).map_err(ApiError::internal)?,
        revoked_at: None,
    };
    let token = state.secrets()?.signer.sign(&claims(stream, &info)).map_err(ApiError::internal)?;
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    if store::count_valid(&*transaction, stream).await? >= TOKENS_PER_STREAM_MAX {
        return Err(ApiError::TooManyTokens { limit: TOKENS_PER_STREAM_MAX });
    }
    store::insert(&*transaction, stream, by.user, &info).await?;
    let detail = json!({ "token": info.id, "action": info.action, "single_use": info.single_use, "ttl_seconds": ttl });
    audit::insert(&*transaction, by.entry("token.issue", stream, &detail)).await?;
    transaction.commit().await?;
    drop(client);
    cache::token_issued(state, &info).await;
    state.metrics.token(info.action.as_str(), "issued");
    Ok(IssuedToken { token, info })
}

fn claims(stream: &StreamId, token: &Token) -> MediaClaims {
    MediaClaims {
        iss: ISSUER.to_owned(),
        aud: MEDIA_AUDIENCE.to_owned(),
        jti: token.id,
        stream: stream.clone(),
        action: token.action,
        iat: cache::unix(token.created_at),
        exp: cache::unix(token.expires_at),
        single_use: token.single_use,
        ip: token.ip,
    }
}

/// A stream's tokens, newest first.
///
/// # Errors
/// Postgres is away.
pub async fn list(
    state: &State,
    stream: &StreamId,
    after: Option<(OffsetDateTime, TokenId)>,
    rows_max: i64,
) -> Result<Vec<Token>, ApiError> {
    let client = state.pg.get().await?;
    Ok(store::list(&**client, stream, after, rows_max).await?)
}

/// Revokes a token and ends whom it let in. Doing so twice is no failure.
///
/// # Errors
/// [`ApiError::TokenNotFound`].
pub async fn revoke(state: &State, stream: &StreamId, id: TokenId, by: &Actor) -> Result<(), ApiError> {
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    let token = store::revoke(&*transaction, stream, id).await?.ok_or(ApiError::TokenNotFound)?;
    let detail = json!({ "token": id });
    audit::insert(&*transaction, by.entry("token.revoke", stream, &detail)).await?;
    transaction.commit().await?;
    drop(client);
    cache::token_revoked(state, &token).await;
    state.metrics.token(token.action.as_str(), "revoked");
    let admitted = By::Credential(stream.clone(), Credential::Token { jti: id });
    end_by(state, &admitted, EndReason::Revoked).await?;
    Ok(())
}
