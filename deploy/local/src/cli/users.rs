//! `keystone users`.

use super::ApiArgs;
use clap::{Args, Subcommand, ValueEnum};

/// `keystone users`.
#[derive(Debug, Args)]
pub struct Users {
    /// The cluster.
    #[command(flatten)]
    pub api: ApiArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: UsersCommand,
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// List them, newest first.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make an account for somebody, and a code by which they set its first password within a week.
    Add {
        /// Their e-mail.
        email: String,
        /// Shown to others; the part before the `@` when absent.
        #[arg(long)]
        name: Option<String>,
        /// What they may do.
        #[arg(long, value_enum, default_value_t = Role::User)]
        role: Role,
    },
    /// Make a code by which somebody who forgot the password sets a new one, once, within a day.
    ResetPassword {
        /// Whose.
        email: String,
    },
    /// End every sign-in and the live streams of one; nobody signs in with it or publishes its streams until it is enabled.
    Disable {
        /// Whose.
        email: String,
    },
    /// Take that back.
    Enable {
        /// Whose.
        email: String,
    },
    /// Make one an administrator, or take that away.
    SetRole {
        /// Whose.
        email: String,
        /// Which.
        role: Role,
    },
}

/// Rights of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Own streams.
    User,
    /// The whole cluster.
    Admin,
}

impl Role {
    /// As the API calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}
