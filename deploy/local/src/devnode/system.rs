//! What a node says about itself and its machine, in the shape of SRS's summaries. What `/proc` does not tell is 0.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::shared::Identity;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `data` of `/api/v1/summaries`, and of a heartbeat.
pub(crate) fn summary(identity: &Identity, uptime: Duration, clients: usize) -> Value {
    let memory = Memory::read();
    let own_kb = field("/proc/self/status", "VmRSS:").unwrap_or(0);
    let share = |kb: u64| if memory.total_kb == 0 { 0.0 } else { ratio(kb, memory.total_kb) };
    let load = numbers("/proc/loadavg");
    let load = |at: usize| load.get(at).copied().unwrap_or(0.0);
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cpus_f = f64::from(u32::try_from(cpus).unwrap_or(1));
    let clock = numbers("/proc/uptime");
    let clock = |at: usize| clock.get(at).copied().unwrap_or(0.0);
    json!({
        "ok": true,
        "now_ms": now_ms(),
        "self": {
            "version": Identity::version(), "pid": identity.pid, "ppid": std::os::unix::process::parent_id(),
            "argv": "keystone-devnode", "cwd": "", "mem_kbyte": own_kb, "mem_percent": share(own_kb),
            "cpu_percent": 0.0, "srs_uptime": uptime.as_secs(),
        },
        "system": {
            "cpu_percent": (load(0) / cpus_f).min(1.0), "disk_read_KBps": 0, "disk_write_KBps": 0,
            "disk_busy_percent": 0.0, "mem_ram_kbyte": memory.total_kb,
            "mem_ram_percent": share(memory.total_kb.saturating_sub(memory.available_kb)),
            "mem_swap_kbyte": 0, "mem_swap_percent": 0.0, "cpus": cpus, "cpus_online": cpus,
            "uptime": clock(0), "ilde_time": clock(1), "load_1m": load(0), "load_5m": load(1), "load_15m": load(2),
            "net_sample_time": now_ms(), "net_recv_bytes": 0, "net_send_bytes": 0, "net_recvi_bytes": 0,
            "net_sendi_bytes": 0, "srs_sample_time": now_ms(), "srs_recv_bytes": 0, "srs_send_bytes": 0,
            "conn_sys": 0, "conn_sys_et": 0, "conn_sys_tw": 0, "conn_sys_udp": 0, "conn_srs": clients,
        },
    })
}

struct Memory {
    total_kb: u64,
    available_kb: u64,
}

impl Memory {
    fn read() -> Self {
        let of = |name| field("/proc/meminfo", name).unwrap_or(0);
        Self { total_kb: of("MemTotal:"), available_kb: of("MemAvailable:") }
    }
}

/// `a / b` to a thousandth; precise enough for a gauge.
fn ratio(a: u64, b: u64) -> f64 {
    let thousandths = u32::try_from(a.saturating_mul(1_000) / b.max(1)).unwrap_or(u32::MAX);
    f64::from(thousandths) / 1_000.0
}

/// The number after `name` in a `/proc` file.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn numbers(path: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}
