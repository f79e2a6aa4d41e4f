//! A private SRS on free loopback ports.

use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::{Child, Command};

/// Ends with its child process and its directory.
pub struct Srs {
    _child: Child,
    dir: PathBuf,
    pub api: String,
    pub rtmp: String,
}

impl Drop for Srs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Starts SRS and waits for its API; `None`, with a plain line, when there is no `srs`. All hooks go to `hook_url`.
pub async fn start(hook_url: Option<&str>) -> Option<Srs> {
    if !super::found("srs") {
        let test = std::thread::current().name().unwrap_or("a test of the media node").to_owned();
        kit::testing::skipped(&test, "there is no `srs` on the PATH");
        return None;
    }
    let dir = std::env::temp_dir().join(format!("keystone-srs-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir_all(dir.join("html")).unwrap();
    let (rtmp, api, http, rtc) = (tcp_port(), tcp_port(), tcp_port(), udp_port());
    let hooks = hook_url.map_or(String::new(), |url| {
        let each = ["on_connect", "on_close", "on_publish", "on_unpublish", "on_play", "on_stop"]
            .map(|action| format!("{action} {url}; "));
        format!("http_hooks {{ enabled on; {} }}", each.concat())
    });
    let text = format!(
        "listen 127.0.0.1:{rtmp}; daemon off; pid {0}/srs.pid; srs_log_tank console; ff_log_dir /dev/null; server_id t;\n\
         max_connections 100;\n\
         http_api {{ enabled on; listen 127.0.0.1:{api}; }}\n\
         http_server {{ enabled on; listen 127.0.0.1:{http}; dir {0}/html; }}\n\
         rtc_server {{ enabled on; listen {rtc}; candidate 127.0.0.1; api_as_candidates off; }}\n\
         vhost __defaultVhost__ {{ rtc {{ enabled on; rtmp_to_rtc off; rtc_to_rtmp off; stun_timeout 30; }} {hooks} }}\n",
        dir.display()
    );
    let conf = dir.join("srs.conf");
    std::fs::write(&conf, text).unwrap();
    let child = Command::new("srs")
        .arg("-c")
        .arg(&conf)
        .current_dir(&dir)
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let srs = Srs {
        _child: child,
        dir,
        api: format!("http://127.0.0.1:{api}"),
        rtmp: format!("rtmp://127.0.0.1:{rtmp}/live"),
    };
    let versions = format!("{}/api/v1/versions", srs.api);
    super::eventually("SRS answers", || async { reqwest::get(&versions).await.ok() }).await;
    Some(srs)
}

/// A port nobody has just now; SRS cannot take port 0.
fn tcp_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
