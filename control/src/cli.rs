//! The commands of `control-api`.

use crate::{
    app::App,
    config::Config,
    domain::account::{Email, check_password, display_name},
    password::Hasher,
    secrets::{
        self,
        rotate::{ACTIVE_IN_SECONDS, rotate},
    },
    store::{
        migrate::migrate,
        pg::{audit, secrets::Kind, users},
    },
};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use proto::{UserId, api::UserRole};
use std::io::{Read as _, Write as _};

/// Longest password read from standard input, in bytes.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// Keystone's control plane: REST API, hooks of media nodes.
#[derive(Debug, Parser)]
#[command(name = "control-api", version)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

impl Args {
    /// The command; serving, when none is named.
    #[must_use]
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve)
    }
}

/// What to do. Settings come from the environment (docs/config.md).
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve (the default).
    Serve,
    /// Print the description of the API, as `/openapi.json` serves it under `/api`. Needs no settings.
    Openapi,
    /// Bring the database up to date and make the cluster's secrets. Safe to run again, and by several at once.
    Migrate,
    /// Accounts that registering cannot make.
    #[command(subcommand)]
    Admin(AdminCommand),
    /// The cluster's secrets.
    #[command(subcommand)]
    Secrets(SecretsCommand),
}

/// `control-api admin ..`
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Make an admin, or make an account one with a new password. The password is read from standard input.
    Create {
        /// Login name.
        #[arg(long)]
        email: String,
        /// Said for clarity: the password is always read from standard input, so that no process list shows it.
        #[arg(long)]
        password_stdin: bool,
    },
}

/// `control-api secrets ..`
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Replace secrets, with overlap: nobody is signed out and no session ends. Both when neither is named.
    Rotate {
        /// The cluster secret: tickets, session URLs, edge bearers.
        #[arg(long)]
        cluster: bool,
        /// The key that signs publish and play tokens.
        #[arg(long)]
        token_keys: bool,
        /// Also while an earlier rotation is in its overlap; what was made before that one stops working.
        #[arg(long)]
        force: bool,
    },
}

/// Runs a command.
///
/// # Errors
/// A text for the operator.
pub async fn run(command: Command, config: Config) -> anyhow::Result<()> {
    match command {
        Command::Serve => serve(config).await,
        Command::Openapi => print_description(),
        Command::Migrate => set_up(&config).await,
        Command::Admin(AdminCommand::Create { email, password_stdin: _ }) => create_admin(&config, &email).await,
        Command::Secrets(SecretsCommand::Rotate { cluster, token_keys, force }) => {
            let both = !cluster && !token_keys;
            let kinds = [(cluster || both, Kind::Cluster), (token_keys || both, Kind::TokenKey)];
            rotate_secrets(&config, kinds.into_iter().filter(|(wanted, _)| *wanted).map(|(_, kind)| kind), force).await
        }
    }
}

/// Prints the description of the API, which `web/openapi.json` is a copy of.
///
/// # Errors
/// Standard output is closed.
pub fn print_description() -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(&crate::openapi::describe("/api"))?;
    text.push('\n');
    std::io::stdout().write_all(text.as_bytes()).context("standard output")
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let app = App::build(config).await?;
    let shutdown = async {
        if let Err(error) = kit::shutdown::signalled().await {
            tracing::error!(%error, "signals cannot be heard; stopping");
        }
    };
    Ok(app.run(shutdown).await?)
}

/// Brings the database up to date and makes missing secrets.
///
/// # Errors
/// A text for the operator.
pub async fn set_up(config: &Config) -> anyhow::Result<()> {
    let applied = migrate(&config.database_url_direct).await.context("migrate")?;
    let mut client = kit::pg::direct(&config.database_url_direct).await.map_err(anyhow::Error::msg)?;
    secrets::ensure(&mut client, &config.sealer()).await?;
    tracing::info!(applied, "the database is up to date");
    Ok(())
}

async fn create_admin(config: &Config, email: &str) -> anyhow::Result<()> {
    let email = Email::parse(email)?;
    let mut password = String::new();
    std::io::stdin().lock().take(PASSWORD_BYTES_MAX).read_to_string(&mut password)?;
    let password = password.trim_end_matches(['\r', '\n']);
    check_password(password).context("on standard input")?;
    let hash = Hasher::new(config.workers).hash(password.to_owned()).await?;
    let mut client = kit::pg::direct(&config.database_url_direct).await.map_err(anyhow::Error::msg)?;
    let transaction = client.transaction().await?;
    let id = UserId::from_bytes(kit::random::bytes());
    let name = display_name(None, &email)?;
    let made = users::insert(&transaction, id, &email, &name, UserRole::Admin, &hash).await?;
    let admin = match made {
        Some(user) => user,
        None => users::promote(&transaction, &email, &hash).await?.context("the account went away")?,
    };
    let entry = audit::Entry {
        actor: None,
        action: "user.make_admin",
        target: format!("user/{}", admin.id),
        ip: None,
        detail: &audit::NOTHING,
    };
    audit::insert(&transaction, entry).await?;
    transaction.commit().await?;
    say(&format!("{} is an admin", admin.email))
}

async fn rotate_secrets(config: &Config, kinds: impl Iterator<Item = Kind>, force: bool) -> anyhow::Result<()> {
    let mut client = kit::pg::direct(&config.database_url_direct).await.map_err(anyhow::Error::msg)?;
    for kind in kinds {
        rotate(&mut client, &config.sealer(), kind, force).await?;
        say(&format!("{}: rotated, in use in {ACTIVE_IN_SECONDS} s", kind.word()))?;
        if kind == Kind::Cluster && config.edge_secret.is_some() {
            say("cluster: EDGE_SECRET is set and goes on overriding it")?;
        }
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
