//! PostgreSQL as a private child: made once by `initdb`, reached on 127.0.0.1 by password only.

use crate::{
    child::{ChildError, Spec},
    data::{DataError, at},
    ready::Ready,
    supervisor::run_once,
    users::RunAs,
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio_postgres::{Client, NoTls};

/// The superuser that `initdb` makes.
pub const USER: &str = "keystone";
/// Two services with their pools, tests, and a few `psql`.
const CONNECTIONS_MAX: u32 = 200;
/// `initdb` writes some 40 MiB and waits for the disk.
const INIT_WITHIN: Duration = Duration::from_secs(120);
/// After a kill it replays its log first.
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// A server that was killed with its `keystone` is gone as soon as the system has reaped it.
const OLD_GONE_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at the old server.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is wrong with the database's folder or with talking to it.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The files were written by another major version.
    #[error("{} was made by PostgreSQL {found} and this machine has {here}: remove it (its users and streams go with it), or install PostgreSQL {found}", dir.display())]
    Version {
        /// The database's folder.
        dir: PathBuf,
        /// What wrote it.
        found: String,
        /// What would read it.
        here: String,
    },
    /// A statement failed.
    #[error("PostgreSQL: {0}")]
    Sql(#[from] tokio_postgres::Error),
    /// `initdb` failed.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The file system says no.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// One server: where its programs and files are, and how it is reached.
#[derive(Clone)]
pub struct Postgres {
    /// Folder of `postgres` and `initdb`.
    pub bin: PathBuf,
    /// Folder that holds (or will hold) `pg/`; every folder above it can be passed by `user`.
    pub stores: PathBuf,
    /// As whom it runs.
    pub user: RunAs,
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// Password of [`USER`].
    pub password: String,
    /// Its log.
    pub log: PathBuf,
    /// Environment for it.
    pub env: Vec<(OsString, OsString)>,
    /// Whether its data outlives a power cut. Tests say no and run several times faster.
    pub durable: bool,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("dir", &self.dir()).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Postgres {
    /// The database's folder.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.stores.join("pg")
    }

    /// Makes the database's folder unless there is one. True when it was made now.
    ///
    /// It is made under another name and then renamed, so a start that was cut short leaves nothing that looks whole.
    ///
    /// # Errors
    /// A folder of another version or owner, a failed `initdb`, or what the file system says.
    pub async fn prepare(&self) -> Result<bool, PostgresError> {
        if self.dir().exists() {
            self.check()?;
            self.old_server_gone().await;
            return Ok(false);
        }
        let fresh = self.stores.join("pg.new");
        if fresh.exists() {
            std::fs::remove_dir_all(&fresh).map_err(at(&fresh))?;
        }
        self.user.make_dir(&fresh).map_err(at(&fresh))?;
        let password_file = self.stores.join("pg-password");
        crate::data::write_private(&password_file, self.password.as_bytes())?;
        self.user.own(&password_file).map_err(at(&password_file))?;
        let made = run_once(&self.init_spec(&fresh, &password_file), "").await;
        std::fs::remove_file(&password_file).map_err(at(&password_file))?;
        made?;
        std::fs::rename(&fresh, self.dir()).map_err(at(&fresh))?;
        Ok(true)
    }

    fn check(&self) -> Result<(), PostgresError> {
        use std::os::unix::fs::MetadataExt;
        let dir = self.dir();
        let owner = dir.metadata().map_err(at(&dir))?.uid();
        if owner != self.user.uid() {
            return Err(DataError::Foreign { path: dir, owner, us: self.user.uid() }.into());
        }
        let file = dir.join("PG_VERSION");
        let found = std::fs::read_to_string(&file).map_err(at(&file))?.trim().to_owned();
        let here = major(&self.bin).unwrap_or_default();
        if found == here { Ok(()) } else { Err(PostgresError::Version { dir, found, here }) }
    }

    /// Waits for a server of the last run that is just ending; the cluster's folder is ours, so no other will come. When it stays, the
    /// new server says so itself.
    async fn old_server_gone(&self) {
        let pid_file = std::fs::read_to_string(self.dir().join("postmaster.pid")).unwrap_or_default();
        let Some(Ok(pid)) = pid_file.lines().next().map(str::parse::<u32>) else { return };
        let name_file = format!("/proc/{pid}/comm");
        let deadline = tokio::time::Instant::now() + OLD_GONE_WITHIN;
        let runs = || std::fs::read_to_string(&name_file).is_ok_and(|name| name.trim() == "postgres");
        while runs() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn init_spec(&self, fresh: &Path, password_file: &Path) -> Spec {
        let mut args: Vec<OsString> =
            ["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]
                .map(Into::into)
                .into();
        args.extend([
            "--no-instructions".into(),
            "--pwfile".into(),
            password_file.into(),
            "--pgdata".into(),
            fresh.into(),
        ]);
        if !self.durable {
            args.push("--no-sync".into());
        }
        Spec {
            name: "initdb".to_owned(),
            program: self.bin.join("initdb"),
            args,
            log: self.log.with_file_name("initdb.log"),
            ready_within: INIT_WITHIN,
            ..self.spec()
        }
    }

    /// The server as a child.
    #[must_use]
    pub fn spec(&self) -> Spec {
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            "unix_socket_directories=".to_owned(),
            format!("max_connections={CONNECTIONS_MAX}"),
        ];
        if !self.durable {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
        }
        let mut args: Vec<OsString> = vec!["-D".into(), self.dir().into()];
        args.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]));
        Spec {
            name: "postgres".to_owned(),
            program: self.bin.join("postgres"),
            args,
            env: self.env.clone(),
            dir: self.stores.clone(),
            user: self.user.clone(),
            log: self.log.clone(),
            ready: Ready::Postgres { url: self.url("postgres") },
            ready_within: READY_WITHIN,
            // "Fast": sessions are ended, everything is written. TERM would wait for clients to leave.
            stop: rustix::process::Signal::INT,
            stop_within: STOP_WITHIN,
        }
    }

    /// `postgres://…` of one database, with the password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Makes an empty database unless it is there.
    ///
    /// # Errors
    /// What the server says.
    pub async fn ensure_database(&self, name: &'static str) -> Result<(), PostgresError> {
        let client = connect(&self.url("postgres")).await?;
        if client.query_opt("select 1 from pg_database where datname = $1", &[&name]).await?.is_none() {
            client.batch_execute(&format!("create database \"{name}\"")).await?;
        }
        Ok(())
    }
}

/// `15` of `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major(bin: &Path) -> Option<String> {
    let output = std::process::Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    major_in(&String::from_utf8_lossy(&output.stdout))
}

fn major_in(text: &str) -> Option<String> {
    let digits: String = text.split_once(") ")?.1.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

/// A session; the task that drives it ends with the client.
///
/// # Errors
/// What the server or the socket says.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move {
        // The client's own calls report what went wrong.
        drop(connection.await);
    });
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        assert_eq!(major_in("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n").as_deref(), Some("15"));
        assert_eq!(major_in("postgres (PostgreSQL) 18beta1").as_deref(), Some("18"));
        assert_eq!(major_in("nonsense"), None);
    }
}
