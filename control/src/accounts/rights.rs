//! What admins change of accounts: rights, and whether they may be used at all.

use crate::{
    app::State,
    error::ApiError,
    sessions::live::{By, end_by},
    store::pg::{
        audit, claims,
        refresh::{self, Ended},
        users,
    },
    streams::Actor,
};
use proto::{
    UserId,
    api::{UpdateUser, User, UserRole},
    session::EndReason,
};
use serde_json::json;
use uuid::Uuid;

/// Changes an account. Disabling it ends its sign-ins, and the sessions of its streams; enabling it begins none of them again.
///
/// # Errors
/// [`ApiError::UserNotFound`]; [`ApiError::OwnAccount`], so that somebody is left who can undo it.
pub async fn update(state: &State, id: UserId, change: &UpdateUser, by: &Actor) -> Result<User, ApiError> {
    if id == by.user {
        return Err(ApiError::OwnAccount);
    }
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    let user = users::update(&*transaction, id, change).await?.ok_or(ApiError::UserNotFound)?;
    let disabled = change.disabled == Some(true);
    if disabled {
        refresh::end_all(&*transaction, id, None, Ended::Disabled).await?;
    }
    let detail = json!({ "role": change.role, "disabled": change.disabled });
    audit::insert(&*transaction, by.entry_of_user("user.update", id, &detail)).await?;
    transaction.commit().await?;
    drop(client);
    if disabled {
        // Committed before: whoever publishes again from now on is refused.
        for stream in claims::held_by(&state.pg, id).await? {
            end_by(state, &By::Stream(stream), EndReason::Revoked).await?;
        }
    }
    Ok(user)
}

/// The rights of a sign-in by now; `None` when it is over, or its account is disabled.
///
/// # Errors
/// Postgres is away.
pub async fn of_sign_in(state: &State, family: Uuid) -> Result<Option<UserRole>, ApiError> {
    let client = state.pg.get().await?;
    Ok(refresh::role_of(&**client, family).await?)
}
