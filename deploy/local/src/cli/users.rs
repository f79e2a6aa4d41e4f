//! `keystone users`.

use super::ApiArgs;
use clap::{Args, Subcommand};

/// As the API calls them.
const ROLES: [&str; 2] = ["user", "admin"];

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
        /// What they may do: have own streams, or all of the cluster.
        #[arg(long, value_parser = ROLES, default_value = "user")]
        role: String,
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
        /// What they may do: have own streams, or all of the cluster.
        #[arg(value_parser = ROLES)]
        role: String,
    },
}
