//! What `keystone` takes from the environment. The only reader of it in this crate.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Variables that children get from us; the rest of our environment stays here.
const PASSED_ON: [&str; 10] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "LOG_FORMAT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// What `keystone doctor` compares a cluster with (docs/config.md).
const SERVICE_SETTINGS: [&str; 21] = [
    "DATABASE_URL",
    "REDIS_URL",
    "REDIS_ADDR",
    "REDIS_PASSWORD",
    "REDIS_CA_FILE",
    "JWT_SECRET",
    "JWT_SECRET_PREVIOUS",
    "EDGE_SECRET",
    "EDGE_SECRET_PREVIOUS",
    "NODES_BOOTSTRAP",
    "EDGE_BASE_URL",
    "HLS_BASE_URL",
    "RTMP_BASE_URL",
    "SRT_BASE_URL",
    "PUBLIC_API_PATH",
    "CONTROL_API_CORS_ORIGINS",
    "EDGE_AUTH",
    "EDGE_CORS_ORIGINS",
    "EDGE_RTC_LISTEN",
    "WEBRTC_RELAY",
    "WEBRTC_PUBLIC_ADDR",
];

/// Which media nodes a cluster runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Media {
    /// Real SRS when there is one, else the built-in node.
    #[default]
    Auto,
    /// Real SRS, or an error.
    Srs,
    /// The built-in node.
    Builtin,
}

/// Settings of `keystone` itself.
#[derive(Clone, Default)]
pub struct Config {
    /// `KEYSTONE_MEDIA` (`auto`, `srs`, `builtin`; default `auto`).
    pub media: Media,
    /// `SRS_BIN`: the SRS to run instead of the one on the PATH.
    pub srs_bin: Option<PathBuf>,
    /// `KEYSTONE_BIN_DIR`: where `control-api`, `edge-gateway` and `keystone` are; default: beside the running program.
    pub bin_dir: Option<PathBuf>,
    /// `DEVNODE_HOOK_URL`, for `keystone devnode`: it holds a secret, so it is no argument.
    pub devnode_hook_url: Option<String>,
    /// `DEVNODE_HEARTBEAT_URL`, likewise.
    pub devnode_heartbeat_url: Option<String>,
    /// `KEYSTONE_API`: base of control-api's REST interface, before `/v1`, for the operator's commands; default: what `up` left.
    pub api: Option<String>,
    /// `KEYSTONE_TOKEN`: an administrator's access token, for the operator's commands.
    pub token: Option<String>,
    /// Settings of the two services that are in this environment, for `keystone doctor`.
    pub services: BTreeMap<String, String>,
    /// `RUST_LOG`, for what this program itself logs.
    pub log_filter: Option<String>,
    /// `PATH`, in order.
    pub path: Vec<PathBuf>,
    /// What children inherit: the listed names only.
    pub passed_on: Vec<(OsString, OsString)>,
}

/// Some of it holds secrets.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("media", &self.media).field("srs_bin", &self.srs_bin).finish_non_exhaustive()
    }
}

/// A variable holds something else than it may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("KEYSTONE_MEDIA must be auto, srs or builtin")]
pub struct ConfigError;

impl Config {
    /// Reads the process environment.
    ///
    /// # Errors
    /// [`ConfigError`] for a word that is none of the allowed.
    pub fn from_process() -> Result<Self, ConfigError> {
        Self::read(&std::env::vars_os().collect())
    }

    /// Reads `vars` as the whole environment.
    ///
    /// # Errors
    /// [`ConfigError`] for a word that is none of the allowed.
    pub fn read(vars: &BTreeMap<OsString, OsString>) -> Result<Self, ConfigError> {
        let get = |name: &str| vars.get(&OsString::from(name)).filter(|value| !value.is_empty());
        let media = match get("KEYSTONE_MEDIA").map(|word| word.to_str()) {
            None => Media::Auto,
            Some(Some("auto")) => Media::Auto,
            Some(Some("srs")) => Media::Srs,
            Some(Some("builtin")) => Media::Builtin,
            Some(_) => return Err(ConfigError),
        };
        let text = |name: &str| get(name).and_then(|value| value.to_str()).map(str::to_owned);
        Ok(Self {
            media,
            srs_bin: get("SRS_BIN").map(PathBuf::from),
            bin_dir: get("KEYSTONE_BIN_DIR").map(PathBuf::from),
            api: text("KEYSTONE_API"),
            token: text("KEYSTONE_TOKEN"),
            services: SERVICE_SETTINGS
                .iter()
                .filter_map(|name| text(name).map(|value| ((*name).to_owned(), value)))
                .collect(),
            log_filter: text("RUST_LOG"),
            devnode_hook_url: text("DEVNODE_HOOK_URL"),
            devnode_heartbeat_url: text("DEVNODE_HEARTBEAT_URL"),
            path: get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default(),
            passed_on: PASSED_ON
                .iter()
                .filter_map(|name| get(name).map(|value| (OsString::from(name), value.clone())))
                .collect(),
        })
    }

    /// The first executable file called `name` on the PATH.
    #[must_use]
    pub fn on_path(&self, name: &str) -> Option<PathBuf> {
        self.path.iter().map(|dir| dir.join(name)).find(|file| is_executable(file))
    }
}

/// Whether `file` is a file that somebody may execute.
#[must_use]
pub fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn an_empty_environment_means_the_defaults() {
        let config = Config::read(&vars(&[])).unwrap();
        assert_eq!((config.media, config.srs_bin, config.path.len()), (Media::Auto, None, 0));
    }

    #[test]
    fn an_unknown_media_word_is_refused_and_an_empty_one_is_absent() {
        assert!(Config::read(&vars(&[("KEYSTONE_MEDIA", "SRS")])).is_err());
        assert_eq!(Config::read(&vars(&[("KEYSTONE_MEDIA", "")])).unwrap().media, Media::Auto);
    }

    #[test]
    fn children_inherit_listed_names_only() {
        let config = Config::read(&vars(&[("PATH", "/bin"), ("AWS_SECRET", "x")])).unwrap();
        assert_eq!(config.passed_on, [("PATH".into(), "/bin".into())]);
        assert!(config.on_path("sh").is_some() && config.on_path("no-such-program").is_none());
    }
}
