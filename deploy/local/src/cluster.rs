//! A whole cluster on one machine: the one entry for `keystone up`, `keystone demo` and whole-system tests.

use crate::{
    api::Api,
    child::Death,
    config::Config,
    data::{at, write_private},
    plan::{ClusterError, Options, Plan, Scope},
    services::DATABASE,
    supervisor::{Supervisor, run_once},
};
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, time::Duration};
use tokio_util::sync::CancellationToken;

/// Login name of the administrator that the first start makes.
const ADMIN_EMAIL: &str = "admin@keystone.local";
/// Nodes send a heartbeat every 2 s.
const NODES_UP_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at the list of nodes.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What `admin.json` holds (mode 0600); operator's commands read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admin {
    /// Base of the API, before `/v1`.
    pub api: String,
    /// Login name.
    pub email: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("api", &self.api).field("email", &self.email).finish_non_exhaustive()
    }
}

/// A running cluster. [`Cluster::stop`] ends it in order; dropping it ends the children as well, only less politely.
#[derive(Debug)]
pub struct Cluster {
    plan: Plan,
    supervisor: Supervisor,
}

impl Cluster {
    /// Starts everything and returns when it can be used: the stores answer, the services are ready, the API answers through Caddy, and
    /// control-api has heard of every media node.
    ///
    /// Call it on a task or thread that lives as long as the cluster (see [`Supervisor::start`]). When `cancel` fires, what was
    /// started is ended again.
    ///
    /// # Errors
    /// [`ClusterError`]: nothing runs any more when it is returned.
    pub async fn start(options: Options, config: &Config, cancel: &CancellationToken) -> Result<Self, ClusterError> {
        let plan = Plan::make(options, config)?;
        let mut supervisor = Supervisor::default();
        let started = tokio::select! {
            started = bring_up(&plan, &mut supervisor) => started,
            () = cancel.cancelled() => Err(ClusterError::Cancelled),
        };
        match started {
            Ok(()) => Ok(Self { plan, supervisor }),
            Err(error) => {
                supervisor.stop().await;
                Err(error)
            }
        }
    }

    /// What runs and where.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The address for browsers and tools, e.g. `http://127.0.0.1:8880`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.plan.settings().origin()
    }

    /// The administrator.
    #[must_use]
    pub fn admin(&self) -> Admin {
        admin_of(&self.plan)
    }

    /// The children: to kill one, start it again, or list them.
    pub fn children(&mut self) -> &mut Supervisor {
        &mut self.supervisor
    }

    /// The next child that ends by itself.
    pub async fn died(&mut self) -> Death {
        self.supervisor.died().await
    }

    /// Ends everything, the front first and the stores last. Gives the names of children that had to be killed.
    pub async fn stop(self) -> Vec<String> {
        self.supervisor.stop().await
    }
}

fn admin_of(plan: &Plan) -> Admin {
    Admin {
        api: format!("{}/api", plan.settings().origin()),
        email: ADMIN_EMAIL.to_owned(),
        password: plan.secrets.admin.clone(),
    }
}

async fn bring_up(plan: &Plan, supervisor: &mut Supervisor) -> Result<(), ClusterError> {
    let fresh = plan.postgres.prepare().await?;
    plan.redis.prepare()?;
    if fresh {
        forget_admin(plan)?;
    }
    supervisor.start(vec![plan.postgres.spec(), plan.redis.spec()]).await?;
    plan.postgres.ensure_database(DATABASE).await?;
    for node in &plan.nodes {
        node.prepare(&plan.media)?;
    }
    let nodes = plan.nodes.iter().map(|node| node.spec(&plan.media, &plan.keystone));
    let (Scope::All, Some(programs), Some(caddy)) = (plan.options.scope, &plan.programs, &plan.caddy) else {
        return Ok(supervisor.start(nodes.collect()).await?);
    };
    let settings = plan.settings();
    write_private(&plan.data.join(crate::doctor::SETTINGS_FILE), settings.for_doctor().as_bytes())?;
    run_once(&programs.control_command(&settings, "migrate", &["migrate"]), "").await?;
    make_admin(plan, programs).await?;
    let shape = plan.options.shape;
    supervisor.start((0..shape.controls).map(|i| programs.control_spec(&settings, i)).collect()).await?;
    let edges = (0..shape.edges).map(|i| programs.edge_spec(&settings, i));
    caddy.prepare()?;
    // Together: the first heartbeats of the nodes go through Caddy.
    supervisor.start(nodes.chain(edges).chain([caddy.spec()]).collect()).await?;
    nodes_up(plan).await
}

fn admin_file(plan: &Plan) -> PathBuf {
    plan.data.join("admin.json")
}

/// A new database has no users, whatever the file says.
fn forget_admin(plan: &Plan) -> Result<(), ClusterError> {
    let file = admin_file(plan);
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&file)(error).into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the administrator once; the file is written after it, and again at each start since the address may have moved.
async fn make_admin(plan: &Plan, programs: &crate::services::Programs) -> Result<(), ClusterError> {
    let admin = admin_of(plan);
    let file = admin_file(plan);
    if !file.exists() {
        let args = ["admin", "create", "--email", &admin.email, "--password-stdin"];
        run_once(&programs.control_command(&plan.settings(), "admin-create", &args), &admin.password).await?;
    }
    let text = serde_json::to_vec_pretty(&admin).expect("a struct of texts has a JSON form");
    Ok(write_private(&file, &text)?)
}

/// Waits until control-api has heard every node: only then can a publisher be placed.
async fn nodes_up(plan: &Plan) -> Result<(), ClusterError> {
    let admin = admin_of(plan);
    let api = Api::new(&admin.api).sign_in(&admin.email, &admin.password).await?;
    let deadline = tokio::time::Instant::now() + NODES_UP_WITHIN;
    loop {
        let known = api.nodes().await?.items;
        let is_up = |id: &str| known.iter().any(|node| node.id == id && node.state == "up");
        if plan.nodes.iter().all(|node| is_up(&node.id())) {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            let states = known.iter().map(|node| format!("{} {}", node.id, node.state)).collect::<Vec<_>>().join(", ");
            return Err(ClusterError::NodesSilent { within: NODES_UP_WITHIN, states, logs: plan.data.join("log") });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
