//! One media node of a local cluster: real SRS from the template `deploy/srs.conf.local`, or the built-in one, on the same ports
//! and with the same hooks.

use crate::{
    child::Spec,
    data::{DataError, at},
    ports::Ports,
    ready::Ready,
    template::{TemplateError, fill},
    tools::MediaChoice,
    users::RunAs,
};
use std::{ffi::OsString, net::Ipv4Addr, path::PathBuf, time::Duration};

const TEMPLATE: &str = include_str!("../../srs.conf.local");
const READY_WITHIN: Duration = Duration::from_secs(20);
/// SRS says nothing to anybody when it ends; nothing is lost by being brief.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// A node could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Filling the template failed.
    #[error("srs.conf.local: {0}")]
    Template(#[from] TemplateError),
    /// The file system says no.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// One node.
#[derive(Clone)]
pub struct Node {
    /// Its number from 0.
    pub index: u16,
    /// The cluster's ports.
    pub ports: Ports,
    /// Its secret, a path segment of its hooks.
    pub secret: String,
    /// SRT callers must encrypt with this.
    pub srt_passphrase: Option<String>,
    /// Port on loopback that takes its hooks and heartbeats.
    pub hooks: u16,
    /// Its folder.
    pub dir: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// Environment for it.
    pub env: Vec<(OsString, OsString)>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// The id of node `index`.
#[must_use]
pub fn id(index: u16) -> String {
    format!("node-{index}")
}

impl Node {
    /// `node-0` and so on.
    #[must_use]
    pub fn id(&self) -> String {
        id(self.index)
    }

    /// Where it sends its hooks. Numeric: SRS resolves names on its only thread.
    #[must_use]
    pub fn hook_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1/hooks/srs/{}/{}", self.hooks, self.id(), self.secret)
    }

    /// Where it sends its heartbeats.
    #[must_use]
    pub fn heartbeat_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1/hooks/heartbeat/{}/{}", self.hooks, self.id(), self.secret)
    }

    /// Its HTTP API.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.node_api(self.index))
    }

    /// Its entry in `SRS_UPSTREAM`.
    #[must_use]
    pub fn upstream(&self) -> String {
        let (p, k) = (self.ports, self.index);
        format!(
            "{}?id={}&rtmp={}&http={}&rtc={}&srt={}{}",
            self.api_url(),
            self.id(),
            p.node_rtmp(k),
            p.node_http(k),
            p.node_rtc(k),
            p.node_srt(k),
            if self.srt_passphrase.is_some() { "&srt_encrypted=1" } else { "" }
        )
    }

    /// Makes its folder and, for SRS, its configuration.
    ///
    /// # Errors
    /// What the template or the file system says.
    pub fn prepare(&self, media: &MediaChoice) -> Result<(), NodeError> {
        let html = self.dir.join("html");
        std::fs::create_dir_all(&html).map_err(at(&html))?;
        if matches!(media, MediaChoice::Srs { .. }) {
            let file = self.dir.join("srs.conf");
            crate::data::write_private(&file, self.srs_conf()?.as_bytes())?;
        }
        Ok(())
    }

    /// SRS's whole configuration.
    ///
    /// # Errors
    /// A value that could break out of its place, which only a foreign secret could.
    pub fn srs_conf(&self) -> Result<String, TemplateError> {
        let (p, k) = (self.ports, self.index);
        // A directive without a value is a mistake to SRS, so the line is there or not.
        let encryption = if self.srt_passphrase.is_some() { "passphrase {$SRT_PASSPHRASE}; pbkeylen 16;" } else { "" };
        fill(
            &TEMPLATE.replace("# srt-encryption", encryption),
            &[
                ("NODE", self.id()),
                ("RTMP_PORT", p.node_rtmp(k).to_string()),
                ("API_PORT", p.node_api(k).to_string()),
                ("HTTP_PORT", p.node_http(k).to_string()),
                ("RTC_PORT", p.node_rtc(k).to_string()),
                ("SRT_PORT", p.node_srt(k).to_string()),
                ("METRICS_PORT", p.node_metrics(k).to_string()),
                ("SRT_PASSPHRASE", self.srt_passphrase.clone().unwrap_or_default()),
                // Nobody but the edges goes there, and they put their own address into answers.
                ("CANDIDATE", Ipv4Addr::LOCALHOST.to_string()),
                ("HOOK_URL", self.hook_url()),
                ("HEARTBEAT_URL", self.heartbeat_url()),
            ],
        )
    }

    /// The node as a child. `keystone` is our own program, which holds the built-in node.
    #[must_use]
    pub fn spec(&self, media: &MediaChoice, keystone: &std::path::Path) -> Spec {
        let mut env = self.env.clone();
        let (program, args) = match media {
            MediaChoice::Srs { program, .. } => {
                // Heartbeats name this address; the first interface of the machine is often the wrong one.
                env.push(("SRS_DEVICE_IP".into(), "127.0.0.1".into()));
                // Without this, an SRS built with the address sanitizer fails at every exit.
                env.push(("ASAN_OPTIONS".into(), "detect_leaks=0".into()));
                (program.clone(), vec!["-c".into(), "srs.conf".into()])
            }
            MediaChoice::Builtin { .. } => {
                // The secret is in these URLs, so they are not arguments.
                env.push(("DEVNODE_HOOK_URL".into(), self.hook_url().into()));
                env.push(("DEVNODE_HEARTBEAT_URL".into(), self.heartbeat_url().into()));
                (keystone.to_path_buf(), self.builtin_args())
            }
        };
        Spec {
            name: self.id(),
            program,
            args,
            env,
            dir: self.dir.clone(),
            user: RunAs::Us,
            log: self.log.clone(),
            ready: Ready::Srs { url: format!("{}/api/v1/versions", self.api_url()) },
            ready_within: READY_WITHIN,
            stop: rustix::process::Signal::TERM,
            stop_within: STOP_WITHIN,
        }
    }

    fn builtin_args(&self) -> Vec<OsString> {
        let (p, k) = (self.ports, self.index);
        let mut args: Vec<OsString> = vec![
            "devnode".into(),
            "--id".into(),
            self.id().into(),
            "--host".into(),
            Ipv4Addr::LOCALHOST.to_string().into(),
        ];
        let ports = [
            ("--rtmp", p.node_rtmp(k)),
            ("--api", p.node_api(k)),
            ("--http", p.node_http(k)),
            ("--rtc", p.node_rtc(k)),
        ];
        args.extend(ports.into_iter().flat_map(|(flag, port)| [flag.into(), port.to_string().into()]));
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(index: u16) -> Node {
        Node {
            index,
            ports: Ports::new(0).unwrap(),
            secret: "s3cret".into(),
            srt_passphrase: None,
            hooks: 8881,
            dir: "/d".into(),
            log: "/d/log".into(),
            env: Vec::new(),
        }
    }

    #[test]
    fn hooks_are_numeric_and_one_per_event() {
        let text = node(1).srs_conf().unwrap();
        assert_eq!(text.matches("http://127.0.0.1:8881/v1/hooks/srs/node-1/s3cret;").count(), 7);
        assert!(text.contains("http://127.0.0.1:8881/v1/hooks/heartbeat/node-1/s3cret;"));
        assert!(
            text.contains("server_id               node-1;")
                && text.contains("listen                  127.0.0.1:19351;")
        );
        assert!(!text.contains("{$") && !text.contains("passphrase"));
    }

    #[test]
    fn a_passphrase_is_the_srt_servers() {
        let text = Node { srt_passphrase: Some("ten-letters-and-more".into()), ..node(0) }.srs_conf().unwrap();
        let (_, server) = text.split_once("srt_server {").unwrap();
        let (server, _) = server.split_once('}').unwrap();
        assert!(server.contains("passphrase ten-letters-and-more; pbkeylen 16;"), "{server}");
    }

    #[test]
    fn an_upstream_says_all_its_ports() {
        assert_eq!(node(0).upstream(), "http://127.0.0.1:19850?id=node-0&rtmp=19350&http=18080&rtc=18000&srt=20080");
    }

    #[test]
    fn no_secret_is_an_argument() {
        let spec = node(0).spec(&MediaChoice::Builtin { why: String::new() }, "/k".as_ref());
        assert!(spec.args.iter().all(|arg| !arg.to_string_lossy().contains("s3cret")));
    }
}
