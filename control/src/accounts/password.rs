//! Another password: by the one until now, or by a code for somebody who forgot it.

use super::{entry, limited_as};
use crate::{
    app::State,
    domain::{
        account::{Email, RESET_LIFE, ResetCode, check_password},
        limit,
    },
    error::ApiError,
    store::pg::{
        audit,
        refresh::{self, Ended},
        resets, users,
    },
    streams::Actor,
};
use kit::pg::GenericClient;
use proto::{
    UserId,
    api::{ChangePassword, PasswordReset, ResetPassword},
};
use std::net::IpAddr;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Changes a password and ends all sign-ins but `family`.
///
/// # Errors
/// [`ApiError::WrongPassword`], [`ApiError::RateLimited`], a password that breaks a rule.
pub async fn change(state: &State, family: Uuid, body: ChangePassword, by: &Actor) -> Result<(), ApiError> {
    check_password(&body.password)?;
    let (email, known) = {
        let client = state.pg.get().await?;
        users::login_of(&**client, by.user).await?.ok_or(ApiError::Unauthenticated)?
    };
    let account = limited_as(&Email::parse(&email)?);
    state.limits.take_for(limit::LOGIN_BY_ACCOUNT, &account).await?;
    if !state.hasher.verify(body.current_password, Some(known)).await? {
        return Err(ApiError::WrongPassword);
    }
    state.limits.forgive(limit::LOGIN_BY_ACCOUNT, &account).await;
    let hash = state.hasher.hash(body.password).await?;
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    users::set_password(&*transaction, by.user, &hash).await?;
    resets::forget(&*transaction, by.user).await?;
    refresh::end_all(&*transaction, by.user, Some(family), Ended::Password).await?;
    audit::insert(&*transaction, entry("user.change_password", by.user, by.ip)).await?;
    transaction.commit().await?;
    Ok(())
}

/// Makes a code for an account; the one before is void.
///
/// # Errors
/// [`ApiError::UserNotFound`].
pub async fn make_code(state: &State, of: UserId, by: &Actor) -> Result<PasswordReset, ApiError> {
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    let made = put_code(&*transaction, of, RESET_LIFE).await?.ok_or(ApiError::UserNotFound)?;
    audit::insert(&*transaction, by.entry_of_user("user.reset_code", of, &audit::NOTHING)).await?;
    transaction.commit().await?;
    Ok(made)
}

/// Draws a code that is good for `life`; `None` when there is no such account.
pub(super) async fn put_code(
    client: &impl GenericClient,
    of: UserId,
    life: Duration,
) -> Result<Option<PasswordReset>, ApiError> {
    let code = ResetCode::from_bytes(kit::random::bytes());
    let expires_at = OffsetDateTime::now_utc() + life;
    let put = resets::put(client, of, &code, expires_at).await?;
    Ok(put.then(|| PasswordReset { code: code.expose(), expires_at }))
}

/// Sets the password of the account that a code is for, and ends all its sign-ins.
///
/// # Errors
/// [`ApiError::ResetInvalid`], a password that breaks a rule.
pub async fn reset(state: &State, body: ResetPassword, ip: IpAddr) -> Result<(), ApiError> {
    check_password(&body.password)?;
    let code = ResetCode::parse(&body.code).ok_or(ApiError::ResetInvalid)?;
    {
        // A hash takes long: nobody gets one for a code that is none.
        let client = state.pg.get().await?;
        resets::find(&**client, &code).await?.ok_or(ApiError::ResetInvalid)?;
    }
    let hash = state.hasher.hash(body.password).await?;
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    // Of two at once one gets it.
    let user = resets::take(&*transaction, &code).await?.ok_or(ApiError::ResetInvalid)?;
    users::set_password(&*transaction, user, &hash).await?;
    refresh::end_all(&*transaction, user, None, Ended::Password).await?;
    audit::insert(&*transaction, entry("user.reset_password", user, ip)).await?;
    transaction.commit().await?;
    Ok(())
}
