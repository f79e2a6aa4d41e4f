//! Accounts and their sign-ins: the rules of [`crate::domain::account`] carried out on Postgres.

pub mod password;
pub mod rights;

use crate::{
    app::State,
    domain::{
        account::{
            Email, INVITATION_LIFE, REFRESH_BYTES, REFRESH_LIFE, RefreshDecision, RefreshRefused, RefreshToken,
            RefreshUse, check_password, decide_refresh, display_name,
        },
        limit,
    },
    error::ApiError,
    store::pg::{
        audit,
        refresh::{self as store, Ended, Found},
        users,
    },
    streams::Actor,
};
use kit::pg::GenericClient;
use proto::{
    UserId,
    api::{CreateUser, Login, NewUser, Register, User, UserRole},
    secret::sha256_hex,
};
use serde_json::json;
use std::net::IpAddr;
use time::OffsetDateTime;
use uuid::Uuid;

/// Successors walked when several tabs refresh at once; more in ten seconds is not two tabs.
const REPEATS_MAX: usize = 4;

/// Letters of a password that nobody is to know: 36 to the 64th is more than argon2id tells apart.
const UNKNOWN_LETTERS: usize = 64;

/// Who presents a credential.
#[derive(Debug, Clone)]
pub struct Client {
    /// From where.
    pub ip: IpAddr,
    /// Address and user agent, hashed: two tabs have the same.
    pub fingerprint: String,
}

impl Client {
    /// Takes a client's address and user agent.
    #[must_use]
    pub fn new(ip: IpAddr, user_agent: &[u8]) -> Self {
        let text = [ip.to_string().as_bytes(), b" ", user_agent].concat();
        Self { ip, fingerprint: sha256_hex(&text) }
    }
}

/// A sign-in that was granted or went on.
#[derive(Debug)]
pub struct Granted {
    /// Whose.
    pub user: User,
    /// The sign-in.
    pub family: Uuid,
    /// For the next refresh.
    pub token: RefreshToken,
}

fn entry<'a>(action: &'static str, user: UserId, ip: IpAddr) -> audit::Entry<'a> {
    Actor { user, ip }.entry_of_user(action, user, &audit::NOTHING)
}

/// What tries at an account's password are counted under. A hash: e-mails are nothing to leave in Redis.
fn limited_as(email: &Email) -> String {
    sha256_hex(email.folded().as_bytes())
}

/// Makes an account for whoever asks.
///
/// # Errors
/// Values that break a rule; [`ApiError::EmailTaken`], [`ApiError::RegistrationClosed`].
pub async fn register(state: &State, body: &Register, ip: IpAddr) -> Result<User, ApiError> {
    if !state.config.registration_open {
        return Err(ApiError::RegistrationClosed);
    }
    let email = Email::parse(&body.email)?;
    check_password(&body.password)?;
    let name = display_name(body.display_name.as_deref(), &email)?;
    let hash = state.hasher.hash(body.password.clone()).await?;
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    let id = UserId::from_bytes(kit::random::bytes());
    let made = users::insert(&*transaction, id, &email, &name, UserRole::User, &hash).await?;
    let user = made.ok_or(ApiError::EmailTaken)?;
    audit::insert(&*transaction, entry("user.register", id, ip)).await?;
    transaction.commit().await?;
    Ok(user)
}

/// Makes an account for somebody else, with a code for its first password.
///
/// # Errors
/// Values that break a rule; [`ApiError::EmailTaken`].
pub async fn create(state: &State, body: &CreateUser, by: &Actor) -> Result<NewUser, ApiError> {
    let email = Email::parse(&body.email)?;
    let name = display_name(body.display_name.as_deref(), &email)?;
    let role = body.role.unwrap_or(UserRole::User);
    // Nobody knows this one, nor is it kept.
    let hash = state.hasher.hash(kit::random::letters(UNKNOWN_LETTERS)).await?;
    let mut client = state.pg.get().await?;
    let transaction = client.transaction().await?;
    let id = UserId::from_bytes(kit::random::bytes());
    let made = users::insert(&*transaction, id, &email, &name, role, &hash).await?;
    let user = made.ok_or(ApiError::EmailTaken)?;
    let reset = password::put_code(&*transaction, id, INVITATION_LIFE).await?.ok_or(ApiError::UserNotFound)?;
    let detail = json!({ "role": role });
    audit::insert(&*transaction, by.entry_of_user("user.create", id, &detail)).await?;
    transaction.commit().await?;
    Ok(NewUser { user, reset })
}

/// An account.
///
/// # Errors
/// Postgres is away.
pub async fn get(state: &State, id: UserId) -> Result<Option<User>, ApiError> {
    let client = state.pg.get().await?;
    Ok(users::get(&**client, id).await?)
}

/// Signs in. An e-mail nobody has costs as much as a wrong password.
///
/// # Errors
/// [`ApiError::BadLogin`], [`ApiError::AccountDisabled`], [`ApiError::RateLimited`], [`ApiError::Busy`].
pub async fn login(state: &State, body: Login, client: &Client) -> Result<Granted, ApiError> {
    let email = Email::parse(&body.email)?;
    let account = limited_as(&email);
    let outcome = try_login(state, &email, &account, body.password, client).await;
    state.metrics.signed_in(match &outcome {
        Ok(_) => "ok",
        Err(ApiError::BadLogin) => "wrong",
        Err(ApiError::AccountDisabled) => "disabled",
        Err(ApiError::RateLimited { .. }) => "limited",
        Err(_) => "failed",
    });
    outcome
}

async fn try_login(
    state: &State,
    email: &Email,
    account: &str,
    password: String,
    client: &Client,
) -> Result<Granted, ApiError> {
    state.limits.take_at(limit::LOGIN_BY_ADDRESS, client.ip).await?;
    state.limits.take_for(limit::LOGIN_BY_ACCOUNT, account).await?;
    let found = {
        let connection = state.pg.get().await?;
        users::by_email(&**connection, email).await?
    };
    let (user, hash) = found.unzip();
    if !state.hasher.verify(password, hash.clone()).await? {
        return Err(ApiError::BadLogin);
    }
    let (user, hash) = user.zip(hash).ok_or(ApiError::BadLogin)?;
    if user.disabled_at.is_some() {
        return Err(ApiError::AccountDisabled);
    }
    state.limits.forgive(limit::LOGIN_BY_ACCOUNT, account).await;
    let (family, token) = (Uuid::from_bytes(kit::random::bytes()), RefreshToken::from_bytes(kit::random::bytes()));
    let mut connection = state.pg.get().await?;
    let transaction = connection.transaction().await?;
    if !store::insert_family(&*transaction, family, user.id, &hash).await? {
        // The password was changed, or the account disabled, while this one was compared.
        return Err(ApiError::BadLogin);
    }
    store::insert(&*transaction, &token, family, OffsetDateTime::now_utc() + REFRESH_LIFE).await?;
    audit::insert(&*transaction, entry("user.login", user.id, client.ip)).await?;
    transaction.commit().await?;
    Ok(Granted { user, family, token })
}

/// Exchanges a refresh token.
///
/// # Errors
/// [`ApiError::Refresh`]. After a re-use the whole sign-in is over.
pub async fn refresh(state: &State, token: &RefreshToken, client: &Client) -> Result<Granted, ApiError> {
    let mut connection = state.pg.get().await?;
    let transaction = connection.transaction().await?;
    let now = OffsetDateTime::now_utc();
    let mut token = token.clone();
    for _ in 0..REPEATS_MAX {
        let found = store::lock(&*transaction, &token).await?;
        let decision = decide_refresh(found.as_ref().map(|found| &found.record), &client.fingerprint, now);
        match (decision, found) {
            (RefreshDecision::Rotate, Some(found)) => {
                let next = rotate(&*transaction, &token, &found, client, now).await?;
                let user = users::get(&*transaction, found.user).await?.ok_or(ApiError::Unauthenticated)?;
                transaction.commit().await?;
                state.metrics.refreshed("rotated");
                return Ok(Granted { user, family: found.family, token: next });
            }
            (RefreshDecision::Repeat(salt), Some(found)) => {
                let next = token.successor(&salt);
                let unused = store::lock(&*transaction, &next).await?.is_some_and(|next| next.record.used.is_none());
                if unused {
                    let user = users::get(&*transaction, found.user).await?.ok_or(ApiError::Unauthenticated)?;
                    state.metrics.refreshed("repeated");
                    return Ok(Granted { user, family: found.family, token: next });
                }
                // The other tab went on already: so does this one.
                token = next;
            }
            (RefreshDecision::Refuse(RefreshRefused::Reused), Some(found)) => {
                store::end_family(&*transaction, found.family, Ended::Reuse).await?;
                audit::insert(&*transaction, entry("user.refresh_reused", found.user, client.ip)).await?;
                transaction.commit().await?;
                state.metrics.refreshed("reused");
                return Err(RefreshRefused::Reused.into());
            }
            (RefreshDecision::Refuse(why), _) => {
                state.metrics.refreshed("refused");
                return Err(why.into());
            }
            (RefreshDecision::Rotate | RefreshDecision::Repeat(_), None) => return Err(RefreshRefused::Unknown.into()),
        }
    }
    state.metrics.refreshed("refused");
    Err(ApiError::Busy)
}

async fn rotate(
    client: &impl GenericClient,
    token: &RefreshToken,
    found: &Found,
    by: &Client,
    now: OffsetDateTime,
) -> Result<RefreshToken, ApiError> {
    let salt = kit::random::bytes::<REFRESH_BYTES>().to_vec();
    let next = token.successor(&salt);
    let exchange = RefreshUse { at: now, client: by.fingerprint.clone(), salt };
    store::mark_used(client, token, &exchange).await?;
    store::insert(client, &next, found.family, now + REFRESH_LIFE).await?;
    Ok(next)
}

/// Signs out by refresh token. One that is not known, or of a sign-in that is over, is signed out already.
///
/// # Errors
/// Postgres is away.
pub async fn logout(state: &State, token: &RefreshToken, everywhere: bool, ip: IpAddr) -> Result<(), ApiError> {
    let found = {
        let mut connection = state.pg.get().await?;
        let transaction = connection.transaction().await?;
        store::lock(&*transaction, token).await?
    };
    match found {
        Some(found) if !found.record.revoked => logout_family(state, found.family, found.user, everywhere, ip).await,
        _ => Ok(()),
    }
}

/// Ends one sign-in, or all of its user.
///
/// # Errors
/// Postgres is away.
pub async fn logout_family(
    state: &State,
    family: Uuid,
    user: UserId,
    everywhere: bool,
    ip: IpAddr,
) -> Result<(), ApiError> {
    let mut connection = state.pg.get().await?;
    let transaction = connection.transaction().await?;
    if everywhere {
        store::end_all(&*transaction, user, None, Ended::LogoutEverywhere).await?;
        audit::insert(&*transaction, entry("user.logout_everywhere", user, ip)).await?;
    } else {
        store::end_family(&*transaction, family, Ended::Logout).await?;
        audit::insert(&*transaction, entry("user.logout", user, ip)).await?;
    }
    transaction.commit().await?;
    Ok(())
}
