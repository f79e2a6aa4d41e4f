//! The peer: nginx passing the same requests to the same node, and checking nothing.

use crate::process::Process;
use anyhow::Context as _;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Starts nginx on `port` in front of `node`. Two workers, as many as the edge has threads here; connections of clients are kept, each
/// request to the node has its own, as SRS needs it.
///
/// # Errors
/// nginx is not installed.
pub fn start(port: u16, node: SocketAddr, workers: usize, dir: &Path) -> anyhow::Result<Process> {
    let config = format!(
        "daemon off;
worker_processes {workers};
pid {dir}/nginx.pid;
error_log {dir}/nginx-error.log error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    client_body_buffer_size 64k;
    keepalive_requests 100000000;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://{node};
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
}}
",
        dir = dir.display()
    );
    launch(&config, dir)
}

/// Starts nginx on `port` as a cache in front of `node`: playlists for a second, segments for an hour, one fetch at a time of each.
///
/// # Errors
/// nginx is not installed.
pub fn start_cache(port: u16, node: SocketAddr, workers: usize, dir: &Path) -> anyhow::Result<Process> {
    let cached = |pattern: &str, valid: &str| {
        format!(
            "location ~ {pattern} {{ proxy_pass http://{node}; proxy_cache hls; proxy_cache_lock on; proxy_cache_valid 200 {valid};
            add_header Access-Control-Allow-Origin *; }}"
        )
    };
    let config = format!(
        "daemon off;
worker_processes {workers};
pid {dir}/nginx.pid;
error_log {dir}/nginx-error.log error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    proxy_cache_path {dir}/cache keys_zone=hls:10m max_size=256m;
    keepalive_requests 100000000;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{ proxy_pass http://{node}; }}
        {playlists}
        {segments}
    }}
}}
",
        playlists = cached("[.]m3u8$", "1s"),
        segments = cached("[.]ts$", "1h"),
        dir = dir.display()
    );
    launch(&config, dir)
}

fn launch(config: &str, dir: &Path) -> anyhow::Result<Process> {
    let file = dir.join("nginx.conf");
    fs::write(&file, config)?;
    let path = file.to_str().context("a path of ours is text")?;
    let prefix = dir.to_str().context("a path of ours is text")?;
    Process::start(&program(), &["-p", prefix, "-c", path], &[], &dir.join("nginx.log"))
}

/// Debian keeps it where only root looks.
fn program() -> PathBuf {
    let sbin = PathBuf::from("/usr/sbin/nginx");
    if sbin.exists() { sbin } else { PathBuf::from("nginx") }
}
