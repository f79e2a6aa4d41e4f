//! Caddy in front of everything, from the template `deploy/Caddyfile.local`.

use crate::{
    child::Spec,
    data::{DataError, at},
    ready::Ready,
    template::{TemplateError, fill},
    users::RunAs,
};
use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::Duration,
};

const TEMPLATE: &str = include_str!("../../Caddyfile.local");
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Longer than `grace_period` in the template.
const STOP_WITHIN: Duration = Duration::from_secs(6);

/// One Caddy.
#[derive(Debug, Clone)]
pub struct Caddy {
    /// `caddy`.
    pub program: PathBuf,
    /// Its folder.
    pub dir: PathBuf,
    /// Where it listens.
    pub port: u16,
    /// Where media nodes send hooks and heartbeats, on loopback.
    pub hook_port: u16,
    /// The address that `up --host` named; Caddy listens there and on loopback.
    pub host: IpAddr,
    /// Ports of the control-api processes on loopback.
    pub controls: Vec<u16>,
    /// HTTP ports of the edges on loopback.
    pub edges: Vec<u16>,
    /// The built web page.
    pub web_root: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// Environment for it.
    pub env: Vec<(OsString, OsString)>,
}

/// The template could not be filled or written.
#[derive(Debug, thiserror::Error)]
pub enum CaddyError {
    /// Filling failed.
    #[error("Caddyfile.local: {0}")]
    Template(#[from] TemplateError),
    /// The file system says no.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl Caddy {
    /// Writes its Caddyfile.
    ///
    /// # Errors
    /// A web root that cannot stand in a Caddyfile, or what the file system says.
    pub fn prepare(&self) -> Result<(), CaddyError> {
        std::fs::create_dir_all(&self.dir).map_err(at(&self.dir))?;
        let file = self.dir.join("Caddyfile");
        std::fs::write(&file, self.caddyfile()?).map_err(at(&file))?;
        Ok(())
    }

    fn caddyfile(&self) -> Result<String, TemplateError> {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let bind = if self.host == loopback { loopback.to_string() } else { format!("{loopback} {}", self.host) };
        fill(
            TEMPLATE,
            &[
                ("PORT", self.port.to_string()),
                ("HOOK_PORT", self.hook_port.to_string()),
                ("HOOK_TAKERS", upstreams(&self.edges)),
                ("BIND", bind),
                ("CONTROLS", upstreams(&self.controls)),
                ("EDGES", upstreams(&self.edges)),
                ("WEB_ROOT", path_text(&self.web_root)),
                ("ORIGIN", self.origin()),
            ],
        )
    }

    /// The cluster's own origin, which its URLs of media carry however the page was opened.
    fn origin(&self) -> String {
        let host = if self.host.is_ipv6() { format!("[{}]", self.host) } else { self.host.to_string() };
        format!("http://{host}:{}", self.port)
    }

    /// Caddy as a child; ready when the API answers through it.
    #[must_use]
    pub fn spec(&self) -> Spec {
        let mut env = self.env.clone();
        // Where it would keep certificates and its last configuration.
        env.push(("XDG_DATA_HOME".into(), self.dir.clone().into()));
        env.push(("XDG_CONFIG_HOME".into(), self.dir.clone().into()));
        Spec {
            name: "caddy".to_owned(),
            program: self.program.clone(),
            args: ["run", "--config", "Caddyfile", "--adapter", "caddyfile"].map(Into::into).into(),
            env,
            dir: self.dir.clone(),
            user: RunAs::Us,
            log: self.log.clone(),
            ready: Ready::Http { url: format!("http://127.0.0.1:{}/api/healthz", self.port) },
            ready_within: READY_WITHIN,
            stop: rustix::process::Signal::TERM,
            stop_within: STOP_WITHIN,
        }
    }
}

fn upstreams(ports: &[u16]) -> String {
    ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(" ")
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caddy() -> Caddy {
        Caddy {
            program: "caddy".into(),
            dir: "/d".into(),
            port: 8880,
            hook_port: 8881,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            controls: vec![8081, 8181],
            edges: vec![8082, 8182],
            web_root: "/a b/web/dist".into(),
            log: "/d/log".into(),
            env: Vec::new(),
        }
    }

    #[test]
    fn every_process_is_an_upstream_and_private_routes_are_closed() {
        let text = caddy().caddyfile().unwrap();
        assert!(text.contains("reverse_proxy 127.0.0.1:8081 127.0.0.1:8181 {"), "{text}");
        assert!(text.contains("reverse_proxy 127.0.0.1:8082 127.0.0.1:8182 {"));
        assert!(text.contains("root * \"/a b/web/dist\""));
        assert!(text.contains("/api/v1/hooks/*") && text.contains("/api/internal/*"));
        assert!(text.contains("bind 127.0.0.1\n"));
        assert!(text.contains("connect-src 'self' http://127.0.0.1:8880;"), "{text}");
        let (_, hooks) =
            text.split_once("http://:8881 {\n\tbind 127.0.0.1\n").expect("hooks have an address on loopback");
        assert!(hooks.contains("reverse_proxy 127.0.0.1:8082 127.0.0.1:8182 {"), "{hooks}");
    }

    #[test]
    fn another_host_is_listened_on_besides_loopback() {
        let host = "10.0.0.4".parse().unwrap();
        assert!(Caddy { host, ..caddy() }.caddyfile().unwrap().contains("bind 127.0.0.1 10.0.0.4\n"));
    }

    #[test]
    fn a_web_root_with_a_quote_is_refused() {
        let hostile = Caddy { web_root: "/a\"b".into(), ..caddy() };
        assert_eq!(hostile.caddyfile(), Err(TemplateError::Unsafe("WEB_ROOT".into())));
    }
}
