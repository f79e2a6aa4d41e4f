//! Prometheus beside a local cluster, with the alert rules of `deploy/prometheus/`, and Grafana with the dashboards of `deploy/grafana/` where
//! it is installed.

use crate::{
    child::Spec,
    config::Config,
    data::{DataError, at},
    plan::Plan,
    ready::Ready,
    template::{TemplateError, fill},
    tools::{self, ToolError},
    users::RunAs,
};
use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

const TEMPLATE: &str = include_str!("../../prometheus/prometheus.local.yml");
const RULES: &str = include_str!("../../prometheus/rules.yml");
const DASHBOARDS: [(&str, &str); 5] = [
    ("keystone-overview.json", include_str!("../../grafana/keystone-overview.json")),
    ("keystone-node.json", include_str!("../../grafana/keystone-node.json")),
    ("keystone-edge.json", include_str!("../../grafana/keystone-edge.json")),
    ("keystone-stream.json", include_str!("../../grafana/keystone-stream.json")),
    ("keystone-control.json", include_str!("../../grafana/keystone-control.json")),
];
const READY_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Debian's packages of Grafana keep its page here.
const GRAFANA_HOME: &str = "/usr/share/grafana";

/// Prometheus could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// It is not installed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// Filling the template failed.
    #[error("prometheus.local.yml: {0}")]
    Template(#[from] TemplateError),
    /// The file system says no.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// Writes the configurations and gives the children: Prometheus, and Grafana if it is there.
///
/// # Errors
/// [`ObserveError`].
pub fn specs(plan: &Plan, config: &Config) -> Result<Vec<Spec>, ObserveError> {
    let program = tools::system(config, "prometheus", "prometheus")?;
    let dir = plan.data.join("prometheus");
    make_dir(&dir)?;
    write(&dir.join("prometheus.yml"), &configuration(plan)?)?;
    write(&dir.join("nodes.json"), &nodes(plan))?;
    write(&dir.join("rules.yml"), RULES)?;
    let port = plan.ports.prometheus();
    let listen = format!("--web.listen-address={}:{port}", Ipv4Addr::LOCALHOST);
    let args =
        ["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", "--storage.tsdb.retention.time=2d", &listen];
    let prometheus = Spec {
        name: "prometheus".to_owned(),
        args: args.map(Into::into).into(),
        ready: Ready::Http { url: format!("http://{}:{port}/-/ready", Ipv4Addr::LOCALHOST) },
        ..spec(plan, program, dir)
    };
    let mut specs = vec![prometheus];
    if let Ok(program) = tools::system(config, "grafana-server", "grafana") {
        specs.push(grafana(plan, program)?);
    }
    Ok(specs)
}

fn spec(plan: &Plan, program: PathBuf, dir: PathBuf) -> Spec {
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Spec {
        log: plan.data.log(&name),
        ready: Ready::Http { url: String::new() },
        name,
        program,
        args: Vec::new(),
        env: plan.redis.env.clone(),
        dir,
        user: RunAs::Us,
        ready_within: READY_WITHIN,
        stop: rustix::process::Signal::TERM,
        stop_within: STOP_WITHIN,
    }
}

fn configuration(plan: &Plan) -> Result<String, TemplateError> {
    let (ports, shape) = (plan.ports, plan.options.shape);
    let list = |ports: Vec<u16>| {
        ports.iter().map(|port| format!("{}:{port}", Ipv4Addr::LOCALHOST)).collect::<Vec<_>>().join(", ")
    };
    fill(
        TEMPLATE,
        &[
            ("CONTROLS", list((0..shape.controls).map(|i| ports.control(i)).collect())),
            ("EDGES", list((0..shape.edges).map(|i| ports.edge_http(i)).collect())),
        ],
    )
}

/// The media nodes, each with its id as a label, as Prometheus reads them from a file.
fn nodes(plan: &Plan) -> String {
    let node = |k: u16| {
        let target = format!("{}:{}", Ipv4Addr::LOCALHOST, plan.ports.node_api(k));
        serde_json::json!({"targets": [target], "labels": {"node": crate::node::id(k)}})
    };
    serde_json::Value::from((0..plan.options.shape.nodes).map(node).collect::<Vec<_>>()).to_string()
}

/// Without sign-in, on loopback; the dashboards are read from their folder.
fn grafana(plan: &Plan, program: PathBuf) -> Result<Spec, ObserveError> {
    let dir = plan.data.join("grafana");
    let (boards, sources) = (dir.join("provisioning/dashboards"), dir.join("provisioning/datasources"));
    let shown = dir.join("dashboards");
    for folder in [&boards, &sources, &shown] {
        make_dir(folder)?;
    }
    for (name, text) in DASHBOARDS {
        write(&shown.join(name), text)?;
    }
    let source = format!(
        "apiVersion: 1\ndatasources:\n  - {{ name: Prometheus, type: prometheus, access: proxy, isDefault: true, url: 'http://{}:{}' }}\n",
        Ipv4Addr::LOCALHOST,
        plan.ports.prometheus()
    );
    write(&sources.join("prometheus.yml"), &source)?;
    let provider = format!(
        "apiVersion: 1\nproviders:\n  - {{ name: Keystone, type: file, options: {{ path: '{}' }} }}\n",
        shown.display()
    );
    write(&boards.join("keystone.yml"), &provider)?;
    let port = plan.ports.grafana();
    let mut made = spec(plan, program, dir.clone());
    made.args = vec!["--homepath".into(), GRAFANA_HOME.into()];
    made.ready = Ready::Http { url: format!("http://{}:{port}/api/health", Ipv4Addr::LOCALHOST) };
    let settings = [
        ("GF_SERVER_HTTP_ADDR", Ipv4Addr::LOCALHOST.to_string()),
        ("GF_SERVER_HTTP_PORT", port.to_string()),
        ("GF_PATHS_DATA", dir.display().to_string()),
        ("GF_PATHS_PROVISIONING", dir.join("provisioning").display().to_string()),
        ("GF_AUTH_ANONYMOUS_ENABLED", "true".to_owned()),
        ("GF_ANALYTICS_REPORTING_ENABLED", "false".to_owned()),
        ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false".to_owned()),
    ];
    made.env.extend(settings.into_iter().map(|(name, value)| (name.into(), value.into())));
    Ok(made)
}

fn make_dir(dir: &Path) -> Result<(), DataError> {
    std::fs::create_dir_all(dir).map_err(at(dir))
}

fn write(file: &Path, text: &str) -> Result<(), DataError> {
    std::fs::write(file, text).map_err(at(file))
}
