//! `keystone test-stores -- COMMAND`: one PostgreSQL for a whole test run, and a closing line that counts.

use crate::{
    child::ChildError, cli::TestStores, config::Config, postgres::Postgres, say, secrets::random_text,
    supervisor::Supervisor, tally::Tally, tools, up::cancel_on_signal, users,
};
use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
};

/// Lines of the command that wait to be printed.
const LINES_QUEUED: usize = 256;
/// Ports tried: somebody may take one between our look and the server's bind.
const PORTS_TRIED: usize = 5;

/// Runs the command; its exit code becomes ours.
///
/// # Errors
/// What kept the database from starting, or the command from being run.
pub async fn run(args: TestStores, config: Config) -> anyhow::Result<ExitCode> {
    let cancel = cancel_on_signal()?;
    let dir = TempDir::make()?;
    let mut supervisor = Supervisor::default();
    let result = tokio::select! {
        result = with_database(&args, &config, dir.path(), &mut supervisor) => result,
        () = cancel.cancelled() => Ok(ExitCode::from(130)),
    };
    supervisor.stop().await;
    result
}

async fn with_database(
    args: &TestStores,
    config: &Config,
    dir: &Path,
    supervisor: &mut Supervisor,
) -> anyhow::Result<ExitCode> {
    let url = start_postgres(config, dir, supervisor).await?;
    let skips = dir.join("skips");
    let mut words = args.command.iter();
    let program = words.next().ok_or_else(|| anyhow::anyhow!("no command given"))?;
    let child = Command::new(program)
        .args(words)
        .env("TEST_DATABASE_URL", url)
        .env("KEYSTONE_TEST_SKIPS", &skips)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| anyhow::anyhow!("cannot run {}: {error}", program.display()))?;
    let (status, mut tally) = watch(child).await?;
    let said = std::fs::read_to_string(&skips).unwrap_or_default();
    for line in said.lines() {
        say::out(line);
        tally.pass_was_skip();
    }
    say::out(&tally.to_string());
    Ok(match status.code().map(u8::try_from) {
        Some(Ok(code)) => ExitCode::from(code),
        Some(Err(_)) | None => ExitCode::FAILURE,
    })
}

async fn start_postgres(config: &Config, dir: &Path, supervisor: &mut Supervisor) -> anyhow::Result<String> {
    let mut postgres = Postgres {
        bin: tools::postgres_bin(config)?,
        stores: dir.to_path_buf(),
        user: users::of_store("postgres"),
        port: 0,
        password: random_text(),
        log: dir.join("postgres.log"),
        env: config.passed_on.clone(),
        durable: false,
    };
    postgres.prepare().await?;
    let mut last = None;
    for _ in 0..PORTS_TRIED {
        postgres.port = free_port()?;
        match supervisor.start(vec![postgres.spec()]).await {
            Ok(()) => return Ok(postgres.url("postgres")),
            Err(error @ ChildError::Ended { .. }) => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.map_or_else(|| anyhow::anyhow!("no port was tried"), anyhow::Error::from))
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Passes the command's lines on and counts what they say.
async fn watch(mut child: Child) -> std::io::Result<(std::process::ExitStatus, Tally)> {
    let (send, mut lines) = mpsc::channel(LINES_QUEUED);
    if let Some(stdout) = child.stdout.take() {
        tokio::spawn(pump(stdout, false, send.clone()));
    }
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(pump(stderr, true, send.clone()));
    }
    drop(send);
    let mut tally = Tally::default();
    while let Some((is_error, line)) = lines.recv().await {
        tally.line(&line);
        if is_error { say::note(&line) } else { say::out(&line) }
    }
    Ok((child.wait().await?, tally))
}

async fn pump(from: impl AsyncRead + Unpin, is_error: bool, to: mpsc::Sender<(bool, String)>) {
    let mut reader = BufReader::new(from);
    let mut bytes = Vec::new();
    while matches!(reader.read_until(b'\n', &mut bytes).await, Ok(read) if read > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
        bytes.clear();
        if to.send((is_error, line)).await.is_err() {
            return;
        }
    }
}

/// A folder that the stores' users may pass, gone when dropped.
struct TempDir(PathBuf);

impl TempDir {
    fn make() -> std::io::Result<Self> {
        let dir = PathBuf::from(format!(
            "/var/tmp/keystone-tests-{}-{}",
            std::process::id(),
            random_text().get(..8).unwrap_or_default()
        ));
        std::fs::create_dir(&dir)?;
        Ok(Self(dir))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
