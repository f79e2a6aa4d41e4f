//! Accounts and their sign-in.
use crate::ids::UserId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserRole {
    /// Owns streams.
    User,
    /// Sees and runs the cluster. Made by `control-api admin create`, never by registering.
    Admin,
}

/// `POST /v1/auth/register`.
#[derive(Clone, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Becomes the login name; compared without regard to case.
    pub email: String,
    /// 10 to 256 characters.
    #[schema(min_length = 10, max_length = 256)]
    pub password: String,
    /// Shown to others; the part before the `@` when absent.
    #[serde(default)]
    #[schema(max_length = 80)]
    pub display_name: Option<String>,
}

/// Answer of `GET /v1/auth/register`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Registration {
    /// Anybody may register; else admins make accounts.
    pub open: bool,
}

/// `POST /v1/auth/login`.
#[derive(Clone, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Login name.
    pub email: String,
    /// Password.
    pub password: String,
}

/// `POST /v1/auth/refresh` and `/v1/auth/logout`; absent with `?session=cookie`.
#[derive(Clone, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The token of the last answer.
    pub refresh_token: String,
}

/// Answer of login and refresh.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccessToken {
    /// Goes into `Authorization: Bearer`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds the access token is good for.
    pub expires_in: u64,
    /// For the next refresh, once; absent with `?session=cookie`, where it is an `HttpOnly` cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Who signed in.
    pub user: User,
}

/// A user, to the user and to admins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct User {
    /// Id.
    pub id: UserId,
    /// Login name.
    pub email: String,
    /// Shown to others.
    pub display_name: String,
    /// Rights.
    pub role: UserRole,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Since when it may not sign in and its streams may not be published; absent for all others.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<OffsetDateTime>,
}

/// `POST /v1/users`.
#[derive(Debug, Clone, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// Becomes the login name; compared without regard to case.
    pub email: String,
    /// Shown to others; the part before the `@` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 80)]
    pub display_name: Option<String>,
    /// Rights; `user` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<UserRole>,
}

/// Answer of `POST /v1/users`.
#[derive(Debug, Clone, Deserialize, Serialize, utoipa::ToSchema)]
pub struct NewUser {
    /// The account.
    pub user: User,
    /// Sets its first password.
    pub reset: PasswordReset,
}

/// `PATCH /v1/users/{user}`. What is absent stays.
#[derive(Debug, Clone, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateUser {
    /// Rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<UserRole>,
    /// `true`: every sign-in ends, the sessions of its streams too, and neither can begin again until it is `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// `POST /v1/auth/password`.
#[derive(Clone, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password until now.
    pub current_password: String,
    /// The new one, 10 to 256 characters.
    #[schema(min_length = 10, max_length = 256)]
    pub password: String,
}

/// Answer of `POST /v1/users/{user}:reset-password`, and part of that of `POST /v1/users`.
#[derive(Clone, Deserialize, Serialize, utoipa::ToSchema)]
pub struct PasswordReset {
    /// Sets a new password, once; shown only now. The page takes it as `/reset#CODE`.
    pub code: String,
    /// Until when it is good.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// `POST /v1/auth/password:reset`.
#[derive(Clone, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPassword {
    /// From an admin.
    pub code: String,
    /// The new password, 10 to 256 characters.
    #[schema(min_length = 10, max_length = 256)]
    pub password: String,
}

hide!(Register, Login, Refresh, AccessToken, ChangePassword, PasswordReset, ResetPassword);
