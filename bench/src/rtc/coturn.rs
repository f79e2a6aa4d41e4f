//! coturn as it comes, relaying the same packets at the same pace. It authenticates nobody here.

use crate::process::{Process, Scratch};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Clients, and milliseconds between the packets of one: coturn's own generator sends no faster.
pub(super) const CLIENTS: u16 = 40;
const EVERY_MS: u16 = 20;
/// Packets of one client.
const EACH: u16 = 400;
/// Round trips a second.
pub(super) const RATE: u32 = CLIENTS as u32 * 1_000 / EVERY_MS as u32;
const PORT: u16 = 13_478;
const PEER: u16 = 13_480;
const WITHIN: Duration = Duration::from_secs(5);

/// Packets taken and sent on for a CPU second of coturn, each round trip counted twice; `None` where it is not installed.
///
/// # Errors
/// It does not start, or loses packets.
pub(super) fn packets_per_cpu_second() -> anyhow::Result<Option<f64>> {
    let [Some(server), Some(peer), Some(client)] = ["turnserver", "turnutils_peer", "turnutils_uclient"].map(found)
    else {
        return Ok(None);
    };
    let dir = Scratch::new("coturn")?;
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (port, pid, db) = (PORT.to_string(), at("pid"), at("db"));
    let mut args =
        vec!["-n", "--no-cli", "--no-tls", "--no-dtls", "--no-auth", "--allow-loopback-peers", "--log-file", "stdout"];
    args.extend([
        "-L",
        "127.0.0.1",
        "-E",
        "127.0.0.1",
        "-p",
        &port,
        "--relay-threads",
        "2",
        "--pidfile",
        &pid,
        "--userdb",
        &db,
    ]);
    let turn = Process::start(&server, &args, &[], &dir.path().join("turn.log"))?;
    let _peer =
        Process::start(&peer, &["-L", "127.0.0.1", "-p", &PEER.to_string()], &[], &dir.path().join("peer.log"))?;
    let until = Instant::now() + WITHIN;
    while !bound(PORT) || !bound(PEER) {
        anyhow::ensure!(Instant::now() < until, "coturn does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = turn.cpu_seconds()?;
    let numbers = [EACH, CLIENTS, 1_200, PEER, PORT, EVERY_MS].map(|number| number.to_string());
    let mut drive = Command::new(client);
    for (flag, number) in ["-n", "-m", "-l", "-r", "-p", "-z"].iter().zip(&numbers) {
        drive.args([*flag, number.as_str()]);
    }
    let said = drive.args(["-c", "-e", "127.0.0.1", "127.0.0.1"]).output()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    anyhow::ensure!(
        text.contains("Total lost packets 0 "),
        "coturn lost packets: {}",
        text.lines().last().unwrap_or_default()
    );
    let cpu = turn.cpu_seconds()? - before;
    Ok(Some(f64::from(EACH) * f64::from(CLIENTS) * 2.0 / cpu.max(0.01)))
}

fn found(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/local/bin"].into_iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists())
}

/// Whether somebody has the UDP port.
fn bound(port: u16) -> bool {
    std::net::UdpSocket::bind(("127.0.0.1", port)).is_err()
}
