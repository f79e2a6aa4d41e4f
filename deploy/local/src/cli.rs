//! The command line.

mod harness;
mod users;

pub use harness::{Chaos, Hostile, Matrix};
pub use users::{Users, UsersCommand};

use crate::{
    config::Media,
    plan::{Options, PortBase, Scope},
    ports::Shape,
};
use clap::{Args, Parser, Subcommand};
use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::Duration,
};

/// A whole Keystone on one machine.
#[derive(Debug, Parser)]
#[command(name = "keystone", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a cluster and keep it until Ctrl-C.
    Up(Up),
    /// Start a cluster, publish a test picture by WHIP and watch it by WHEP, and print what arrives every second.
    Demo(Demo),
    /// Run one built-in media node, for development and tests only; `up` starts it when there is no SRS.
    Devnode(Devnode),
    /// Write `.env` and the media nodes' configurations for stores and nodes that Docker runs (`make up`).
    DevSettings,
    /// Show nodes, edges, controls, streams and sessions of a cluster.
    Status(Status),
    /// List, enrol, drain and remove media nodes.
    Nodes(Nodes),
    /// List accounts, disable and enable them, and help whoever forgot the password.
    Users(Users),
    /// Explain where a stream is and why, or where it would go.
    Route(Route),
    /// End a session.
    Kick(Kick),
    /// Check a cluster against the production checklist: what is wrong, why, and what to do.
    Doctor(Doctor),
    /// Ask a URL and end with 0 if it answers 200: health checks of containers that have nothing else to ask with.
    #[command(hide = true)]
    Probe {
        /// What to ask.
        url: String,
    },
    /// Break a whole cluster in every way that is promised to be survived, and print what it cost (`make chaos`).
    #[command(hide = true)]
    Chaos(Chaos),
    /// Play every kind of publisher to every kind of player through the edges of a cluster of real SRS nodes (`make matrix`).
    #[command(hide = true)]
    Matrix(Matrix),
    /// Attack an edge beside live streams and measure what their viewers notice (`make hostile`).
    #[command(hide = true)]
    Hostile(Hostile),
    /// Start a private PostgreSQL for tests, run a command with `TEST_DATABASE_URL` set, and count the tests it ran.
    TestStores(TestStores),
}

/// `keystone up`.
#[derive(Debug, Args)]
pub struct Up {
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Start only PostgreSQL, Redis and the media nodes, and write `.env` for `make run-control` and `make run-gateway`.
    #[arg(long)]
    pub deps_only: bool,
    /// Also start a Prometheus with the alert rules, and Grafana with the dashboards where it is installed.
    #[arg(long, conflicts_with = "deps_only")]
    pub observe: bool,
}

/// `keystone demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// End after this long, e.g. `30s` or `2m`; until Ctrl-C when absent.
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    pub lasts: Option<Duration>,
    /// One JSON object per line instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// `keystone devnode`. Where it sends hooks and heartbeats comes from `DEVNODE_HOOK_URL` and `DEVNODE_HEARTBEAT_URL`.
#[derive(Debug, Args)]
pub struct Devnode {
    /// Its `server_id`.
    #[arg(long)]
    pub id: String,
    /// Where its WebRTC listens, and the candidate in its answers; everything else is on loopback.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// RTMP port.
    #[arg(long, default_value_t = 1935)]
    pub rtmp: u16,
    /// Port of the HTTP API, WHIP and WHEP.
    #[arg(long, default_value_t = 1985)]
    pub api: u16,
    /// HLS port.
    #[arg(long, default_value_t = 8080)]
    pub http: u16,
    /// WebRTC port, UDP.
    #[arg(long, default_value_t = 8000)]
    pub rtc: u16,
}

/// `keystone test-stores -- COMMAND…`.
#[derive(Debug, Args)]
pub struct TestStores {
    /// What to run.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

/// Which cluster an operator's command speaks to: `KEYSTONE_API` and `KEYSTONE_TOKEN`, else what `up` left in its folder.
#[derive(Debug, Clone, Default, Args)]
pub struct ApiArgs {
    /// The folder of a cluster that `up` started; `.keystone` of the repository when absent.
    #[arg(long, value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
}

/// `keystone status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The cluster.
    #[command(flatten)]
    pub api: ApiArgs,
    /// One JSON object with everything, instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Sessions that are listed.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub sessions: u16,
}

/// `keystone doctor`. What it compares with are the settings of the services, in its environment or in a file.
#[derive(Debug, Clone, Default, Args)]
pub struct Doctor {
    /// The cluster.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Settings of the services, `NAME=value` a line, over the environment (docs/config.md).
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// One JSON object instead of the list.
    #[arg(long)]
    pub json: bool,
}

/// `keystone nodes`.
#[derive(Debug, Args)]
pub struct Nodes {
    /// The cluster.
    #[command(flatten)]
    pub api: ApiArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: NodesCommand,
}

/// What can be done with nodes.
#[derive(Debug, Subcommand)]
pub enum NodesCommand {
    /// List them.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show everything about one.
    Show {
        /// Its id.
        node: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Enrol one and print its secret, which is shown only this once.
    Add(AddNode),
    /// Give one no new streams; those it has stay.
    Cordon {
        /// Its id.
        node: String,
        /// Also when it is the last that takes streams.
        #[arg(long)]
        force: bool,
    },
    /// Give one no new streams, show what remains, and at the deadline end the rest.
    Drain {
        /// Its id.
        node: String,
        /// When the rest is ended, from now, e.g. `90s` or `30m`; control-api's own default when absent.
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        deadline: Option<Duration>,
        /// Return at once.
        #[arg(long)]
        no_wait: bool,
        /// Also when it is the last that takes streams.
        #[arg(long)]
        force: bool,
    },
    /// Take a cordon or a drain back.
    Undrain {
        /// Its id.
        node: String,
    },
    /// End the enrolment of one.
    Remove {
        /// Its id.
        node: String,
        /// Also while it carries something, which then ends.
        #[arg(long)]
        force: bool,
    },
    /// Make a new secret for one and print it; the old one stays good for a while.
    RotateSecret {
        /// Its id.
        node: String,
        /// How long the old one stays good, e.g. `60m`; control-api's own default when absent.
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        overlap: Option<Duration>,
    },
}

/// `keystone nodes add`. Addresses are `host:port` as processes of the cluster reach them.
#[derive(Debug, Default, Args)]
pub struct AddNode {
    /// Its id, the `server_id` of its configuration.
    pub node: String,
    /// Its HTTP API; without it, its heartbeat says where it is.
    #[arg(long, value_name = "HOST:PORT")]
    pub api: Option<String>,
    /// Its HTTP server: HLS and HTTP-FLV.
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// RTMP.
    #[arg(long, value_name = "HOST:PORT")]
    pub rtmp: Option<String>,
    /// SRT.
    #[arg(long, value_name = "HOST:PORT")]
    pub srt: Option<String>,
    /// WebRTC.
    #[arg(long, value_name = "HOST:PORT")]
    pub rtc: Option<String>,
    /// Its SRT port has a passphrase.
    #[arg(long, requires = "srt")]
    pub srt_encrypted: bool,
    /// Where it sends hooks and heartbeats, a numeric address; the answering control-api's own when absent.
    #[arg(long, value_name = "IP:PORT")]
    pub hooks_to: Option<String>,
    /// Its share of the streams beside the others'.
    #[arg(long, value_name = "N")]
    pub weight: Option<u8>,
    /// Where it stands.
    #[arg(long)]
    pub zone: Option<String>,
    /// An address clients may reach it at directly; may be given more than once.
    #[arg(long, value_name = "ADDRESS")]
    pub public: Vec<String>,
}

/// `keystone route`.
#[derive(Debug, Args)]
pub struct Route {
    /// The cluster.
    #[command(flatten)]
    pub api: ApiArgs,
    /// The stream; it need not be live.
    pub stream: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// `keystone kick`.
#[derive(Debug, Args)]
pub struct Kick {
    /// The cluster.
    #[command(flatten)]
    pub api: ApiArgs,
    /// The session's id, from `keystone status`.
    pub session: String,
}

/// What every cluster takes.
#[derive(Debug, Clone, Args)]
pub struct ClusterArgs {
    /// control-api processes.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub control: u16,
    /// edge-gateway processes.
    #[arg(long, value_name = "M", default_value_t = 2)]
    pub edge: u16,
    /// Media nodes.
    #[arg(long, value_name = "K", default_value_t = 2)]
    pub nodes: u16,
    /// Added to every port.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port_base: u16,
    /// Base of every URL, and the WebRTC candidate: an address of this machine that clients reach.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// Which media nodes; `KEYSTONE_MEDIA` when absent.
    #[arg(long, value_name = "KIND")]
    pub media: Option<Media>,
    /// The cluster's folder; `.keystone` of the repository when absent.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl ClusterArgs {
    /// As the cluster takes them, with the repository at `root`.
    #[must_use]
    pub fn options(&self, root: &Path, scope: Scope) -> Options {
        let defaults = Options::in_repository(root);
        Options {
            shape: Shape { controls: self.control, edges: self.edge, nodes: self.nodes },
            ports: PortBase::Shift(self.port_base),
            host: self.host,
            media: self.media,
            data: self.data.clone().unwrap_or(defaults.data),
            scope,
            web_root: defaults.web_root,
            rate_limits: defaults.rate_limits,
            srt_passphrase: None,
        }
    }
}

/// The repository around the working folder, else the working folder.
#[must_use]
pub fn repository(from: &Path) -> PathBuf {
    from.ancestors().find(|dir| dir.join("deploy/local/Cargo.toml").is_file()).unwrap_or(from).to_path_buf()
}

fn seconds(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.strip_suffix('m') {
        Some(digits) => (digits, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let count: u64 =
        digits.parse().map_err(|_| "a number of seconds, such as 30s, or of minutes, such as 2m".to_owned())?;
    match count.checked_mul(unit) {
        Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        Some(_) | None => Err("between 1s and 1440m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn the_operators_commands_take_the_folder_anywhere() {
        let cli =
            Cli::try_parse_from(["keystone", "nodes", "drain", "n1", "--deadline", "2m", "--data", "/d"]).unwrap();
        let Command::Nodes(Nodes { api, command: NodesCommand::Drain { node, deadline, no_wait, .. } }) = cli.command
        else {
            panic!("another command");
        };
        assert_eq!((api.data, node.as_str(), no_wait), (Some("/d".into()), "n1", false));
        assert_eq!(deadline, Some(Duration::from_secs(120)));
    }

    #[test]
    fn times_have_a_unit_or_mean_seconds() {
        assert_eq!(seconds("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(seconds("7"), Ok(Duration::from_secs(7)));
        for bad in ["", "0", "s", "-1s", "99999999999999999999m", "1h"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn test_stores_takes_a_whole_command() {
        let cli = Cli::try_parse_from(["keystone", "test-stores", "--", "cargo", "nextest", "run", "-p", "x"]).unwrap();
        assert!(matches!(cli.command, Command::TestStores(TestStores { command }) if command.len() == 5));
    }
}
