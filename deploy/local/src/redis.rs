//! Redis as a private child: append-only file, password, 127.0.0.1 only.

use crate::{
    child::Spec,
    data::{DataError, at, write_private},
    ready::Ready,
    users::RunAs,
};
use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// It reads its file first.
const READY_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// One server.
#[derive(Clone)]
pub struct Redis {
    /// `redis-server`.
    pub program: PathBuf,
    /// Its folder; every folder above it can be passed by `user`.
    pub dir: PathBuf,
    /// As whom it runs.
    pub user: RunAs,
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// AUTH.
    pub password: String,
    /// Its log.
    pub log: PathBuf,
    /// Environment for it.
    pub env: Vec<(OsString, OsString)>,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("dir", &self.dir).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Redis {
    /// Writes its configuration: a file and not arguments, which every user of the machine can read.
    ///
    /// # Errors
    /// What the file system says.
    pub fn prepare(&self) -> Result<(), DataError> {
        self.user.make_dir(&self.dir).map_err(at(&self.dir))?;
        let file = self.dir.join("redis.conf");
        write_private(&file, configuration(self.port, &self.password).as_bytes())?;
        self.user.own(&file).map_err(at(&file))
    }

    /// The server as a child. The configuration's paths are relative to its folder.
    #[must_use]
    pub fn spec(&self) -> Spec {
        Spec {
            name: "redis".to_owned(),
            program: self.program.clone(),
            args: vec!["redis.conf".into()],
            env: self.env.clone(),
            dir: self.dir.clone(),
            user: self.user.clone(),
            log: self.log.clone(),
            ready: Ready::Redis { address: self.address(), password: self.password.clone() },
            ready_within: READY_WITHIN,
            stop: rustix::process::Signal::TERM,
            stop_within: STOP_WITHIN,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

/// Its whole configuration. `password` is URL-safe text.
fn configuration(port: u16, password: &str) -> String {
    format!(
        "bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir .\nappendonly yes\nappendfsync everysec\nsave \"\"\n\
         daemonize no\nsupervised no\npidfile \"\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_listens_on_loopback_with_a_password_and_a_file() {
        let text = configuration(63790, "pw");
        for line in ["bind 127.0.0.1", "port 63790", "requirepass pw", "appendonly yes"] {
            assert!(text.lines().any(|l| l == line), "{line}");
        }
    }
}
