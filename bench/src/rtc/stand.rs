//! What is measured: the echo as a process, and the edge's relay in this one, with another echo as its media node.

use super::{
    Sends,
    flood::Flood,
    flow::{Flow, Outcome, drive},
};
use crate::process::{Process, Scratch};
use anyhow::Context as _;
use edge::{
    config::Upstream,
    metrics::Metrics,
    nodes::Nodes,
    replica::Replica,
    rtc::{Relay, RelaySettings},
};
use proto::{
    NodeId, SessionId, ice,
    secret::{ClusterSecret, Keyring},
    wire::stun::{Class, IntegrityKey, Writer, kind},
};
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const TICKS: f64 = 100.0;
const WITHIN: Duration = Duration::from_secs(5);
/// Checks a second when many sessions are made: below what an edge checks of sessions that it did not open.
const CHECKS_PER_SECOND: u32 = 2_000;

/// The echo, built with the C compiler of the machine.
pub(super) struct Echo {
    process: Process,
    address: SocketAddr,
    _dir: Scratch,
}

impl Echo {
    /// Builds and starts it.
    ///
    /// # Errors
    /// There is no C compiler, or it does not start.
    pub(super) fn start() -> anyhow::Result<Self> {
        let dir = Scratch::new("echo")?;
        let (program, log) = (dir.path().join("echo"), dir.path().join("port"));
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("echo.c");
        let built =
            Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(source).status().context("no C compiler")?;
        anyhow::ensure!(built.success(), "echo.c does not compile");
        let process = Process::start(&program, &["127.0.0.1"], &[], &log)?;
        let until = Instant::now() + WITHIN;
        let port = loop {
            if let Ok(port) = fs::read_to_string(&log)?.trim().parse::<u16>() {
                break port;
            }
            anyhow::ensure!(Instant::now() < until, "the echo does not say its port");
            std::thread::sleep(Duration::from_millis(5));
        };
        Ok(Self { process, address: SocketAddr::from(([127, 0, 0, 1], port)), _dir: dir })
    }

    /// One rate.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn measure(&self, flows: usize, sends: Sends, rate: u32, time: Duration) -> anyhow::Result<Outcome> {
        let flows = (0..flows).map(|_| Flow::new(self.address)).collect::<anyhow::Result<Vec<_>>>()?;
        let before = self.process.cpu_seconds()?;
        let mut outcome = drive(&flows, sends, rate, time)?;
        outcome.cpu_seconds = self.process.cpu_seconds()? - before;
        Ok(outcome)
    }
}

/// The relay, and its node.
pub(super) struct Stand {
    relay: Arc<Relay>,
    secret: ClusterSecret,
    node: NodeId,
    address: SocketAddr,
    _echo: Echo,
}

impl Stand {
    /// Starts both.
    ///
    /// # Errors
    /// A port, or the echo.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let echo = Echo::start()?;
        let (secret, node) = (ClusterSecret::from_bytes(kit::random::bytes()), NodeId::parse("node-0")?);
        let upstream = Upstream {
            srt_encrypted: false,
            api: "http://127.0.0.1:1985/".parse()?,
            id: Some(node.clone()),
            weight: 1,
            zone: None,
            endpoints: BTreeMap::from([("rtc", echo.address.port().to_string())]),
        };
        let (nodes, _) = Nodes::new(&[upstream], None);
        let replica = Replica::new(Some(Keyring { current: secret.clone(), previous: None }));
        let settings = RelaySettings { listen: "127.0.0.1:0".parse()?, public: Vec::new(), tcp: false };
        let (relay, mut adoptions) = Relay::start(&settings, replica, Metrics::new()?.rtc().clone())?;
        tokio::spawn(relay.clone().keep_targets(nodes, CancellationToken::new()));
        // Nobody knows these sessions.
        tokio::spawn(async move { while adoptions.recv().await.is_some() {} });
        let address = relay.addresses().first().copied().context("the relay has no address")?;
        let stand = Self { relay, secret, node, address, _echo: echo };
        let until = Instant::now() + WITHIN;
        while stand.session().is_err() {
            anyhow::ensure!(Instant::now() < until, "the relay lets nobody through");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(stand)
    }

    fn check(&self) -> Vec<u8> {
        let ufrag = ice::ufrag(&self.node, &SessionId::from_bytes(kit::random::bytes()));
        let key = IntegrityKey::new(&ice::password(&self.secret, &ufrag));
        let mut bytes = Vec::new();
        let writer = Writer::binding(Class::Request, &kit::random::bytes(), &mut bytes);
        let named = writer.attribute(kind::USERNAME, format!("{ufrag}:peer").as_bytes());
        named.attribute(kind::USE_CANDIDATE, &[]).integrity(&key).fingerprint();
        bytes
    }

    /// A session whose check came back from the node.
    fn session(&self) -> anyhow::Result<Flow> {
        let flow = Flow::new(self.address)?;
        flow.send(&self.check())?;
        flow.wait(Duration::from_millis(500))?;
        Ok(flow)
    }

    /// One rate.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn measure(&self, flows: usize, sends: Sends, rate: u32, time: Duration) -> anyhow::Result<Outcome> {
        let flows = (0..flows).map(|_| self.session()).collect::<anyhow::Result<Vec<_>>>()?;
        let before = threads_cpu_seconds()?;
        let mut outcome = drive(&flows, sends, rate, time)?;
        outcome.cpu_seconds = threads_cpu_seconds()? - before;
        Ok(outcome)
    }

    /// Begins a flood of forged checks.
    ///
    /// # Errors
    /// There is no socket.
    pub(super) fn flood(&self, rate: u32) -> anyhow::Result<Flood> {
        Flood::start(self.address, &self.node, rate)
    }

    /// Bytes that the process grew by for each of so many sessions.
    ///
    /// # Errors
    /// One of them did not come about.
    pub(super) fn memory(&self, held: u32) -> anyhow::Result<f64> {
        // Senders share few sockets: a socket's address is the path of its last session only, which is as idle as one can be.
        let sockets =
            (0..held.min(500)).map(|_| std::net::UdpSocket::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
        let (before, start) = (resident()?, Instant::now());
        // One check makes one session, but for those the edge refuses to look at so fast.
        for (number, socket) in (0..held.saturating_mul(4)).zip(sockets.iter().cycle()) {
            if self.relay.sessions() >= u64::from(held) {
                break;
            }
            socket.send_to(&self.check(), self.address)?;
            let due = Duration::from_secs(1) * number / CHECKS_PER_SECOND;
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
        let open = self.relay.sessions();
        anyhow::ensure!(open >= u64::from(held), "only {open} of {held} sessions came about");
        Ok((resident()?.saturating_sub(before)) as f64 / f64::from(held))
    }
}

/// CPU seconds of the relay's threads.
fn threads_cpu_seconds() -> anyhow::Result<f64> {
    let mut ticks = 0_u64;
    for thread in fs::read_dir("/proc/self/task")? {
        let stat = fs::read_to_string(thread?.path().join("stat"))?;
        let (head, fields) = stat.rsplit_once(") ").context("no stat")?;
        if head.contains("(rtc-") {
            ticks += fields.split(' ').skip(11).take(2).map(|field| field.parse().unwrap_or(0)).sum::<u64>();
        }
    }
    Ok(ticks as f64 / TICKS)
}

fn resident() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}
