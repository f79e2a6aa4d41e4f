//! Stores for tests (feature `testing`): a private Redis per test, the shared PostgreSQL of `make test`, and plain words for what was skipped.
//!
//! Everything here may panic: a test without its store has nothing to say.
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// How long a Redis may take from its start to its first PONG.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at a Redis that is starting.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Ports tried before giving up: another test may take a port between our look and the bind.
const PORTS_TRIED: u32 = 8;

/// One `redis-server` on a free loopback port, without password or persistence; gone when dropped, and when the test's thread ends.
///
/// Pub/sub crosses databases, so tests that share a server hear each other: hence one each (about 10 ms and 5 MiB).
/// Start it on the test's own thread: the kernel ends it with the thread that started it.
#[derive(Debug)]
pub struct TestRedis {
    child: Option<Child>,
    port: u16,
    dir: PathBuf,
}

impl TestRedis {
    /// Starts a server and waits for its PONG.
    ///
    /// # Panics
    /// When there is no `redis-server`, or it does not answer within 20 s.
    #[must_use]
    pub fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("keystone-redis-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&dir).expect("the temporary folder takes a new folder");
        let mut redis = Self { child: None, port: 0, dir };
        for _ in 0..PORTS_TRIED {
            redis.port = free_port();
            redis.child = Some(redis.spawn());
            if redis.wait_ready() {
                return redis;
            }
            redis.kill();
        }
        panic!("redis-server did not start; its log is {}", redis.dir.join("log").display());
    }

    /// `127.0.0.1:port`, as `REDIS_ADDR` takes it.
    #[must_use]
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `redis://127.0.0.1:port`, as `REDIS_URL` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// Ends the server at once and forgets its data, as a crash without persistence does. The port stays ours to [`TestRedis::revive`].
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Starts an empty server on the same port after [`TestRedis::kill`].
    ///
    /// # Panics
    /// When it does not answer within 20 s.
    pub fn revive(&mut self) {
        self.kill();
        self.child = Some(self.spawn());
        assert!(self.wait_ready(), "redis-server did not come back on port {}", self.port);
    }

    fn spawn(&self) -> Child {
        let log = std::fs::File::create(self.dir.join("log")).expect("the folder is ours");
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &self.port.to_string()])
            .arg("--dir")
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a file handle can be doubled"))
            .stdout(log)
            .spawn()
            .expect("setpriv and redis-server are installed (run `make setup`)")
    }

    /// True on PONG, false when the process ended first.
    fn wait_ready(&mut self) -> bool {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            let child = self.child.as_mut().expect("spawned just before");
            if child.try_wait().expect("a child can be asked").is_some() {
                return false;
            }
            if ping(self.port) {
                return true;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        false
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.kill();
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

fn ping(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut socket) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return false };
    let mut answer = [0; 7];
    socket.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
        && socket.write_all(b"PING\r\n").is_ok()
        && socket.read_exact(&mut answer).is_ok()
        && &answer == b"+PONG\r\n"
}

/// A loopback TCP port that nobody listened on a moment ago.
///
/// # Panics
/// When the machine has no free port.
#[must_use]
pub fn free_port() -> u16 {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket.local_addr().expect("a bound socket has an address").port()
}

/// `TEST_DATABASE_URL`: a superuser's URL of the PostgreSQL that `make test` started; each test clones its own database there.
///
/// # Panics
/// When it is not set, which a bare `cargo nextest run` meets.
#[must_use]
pub fn database_url() -> String {
    variable("TEST_DATABASE_URL").unwrap_or_else(|| {
        panic!("no TEST_DATABASE_URL: run `make test`, or `cargo run -p keystone -- test-stores -- cargo nextest run -p <crate>`")
    })
}

/// Says on standard error, and to the tally of `make test`, that the calling test did not check what it is for, and why. Return after it.
pub fn skipped(test: &str, why: &str) {
    let line = format!("skipped {test}: {why}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
    if let Some(path) = variable("KEYSTONE_TEST_SKIPS")
        && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        drop(file.write_all(line.as_bytes()));
    }
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "what `make test` tells tests has no config.rs to go through")]
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_is_up_when_start_returns_and_gone_when_dropped() {
        let mut redis = TestRedis::start();
        let port = redis.port;
        assert!(ping(port));
        redis.kill();
        assert!(!ping(port));
        redis.revive();
        assert!(ping(port));
        let dir = redis.dir.clone();
        drop(redis);
        assert!(!ping(port) && !dir.exists());
    }
}
