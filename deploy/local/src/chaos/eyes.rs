//! What the cluster says of itself, asked of each control-api alone, and what each media node says.

use super::tally::Doubles;
use crate::{
    api::{Api, ApiError},
    cluster::Cluster,
};
use proto::srs::api::Clients;
use reqwest::Method;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Longest wait for one answer: a frozen process must not freeze the looking.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks for two publishers of a stream.
const DOUBLES_EVERY: Duration = Duration::from_secs(1);
/// Clients of a media node that are asked for.
const CLIENTS_MAX: u32 = 100_000;

/// A session as both sides name it: node and the node's own client id.
pub(crate) type Pair = (String, String);

/// One control-api.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) name: String,
    pub(crate) base: String,
    api: Api,
}

/// One media node.
#[derive(Clone)]
pub(crate) struct Srs {
    pub(crate) id: String,
    base: String,
}

/// Everybody that can be asked.
#[derive(Clone)]
pub(crate) struct Eyes {
    pub(crate) controls: Vec<Control>,
    pub(crate) nodes: Vec<Srs>,
    http: reqwest::Client,
}

impl Eyes {
    pub(crate) async fn open(cluster: &Cluster) -> Result<Self, ApiError> {
        let plan = cluster.plan();
        let admin = cluster.admin();
        let mut controls = Vec::new();
        for i in 0..plan.options.shape.controls {
            let base = format!("http://127.0.0.1:{}", plan.ports.control(i));
            let api = Api::new(&base).sign_in(&admin.email, &admin.password).await?;
            controls.push(Control { name: format!("control-{i}"), base, api });
        }
        let nodes = plan.nodes.iter().map(|node| Srs { id: node.id(), base: node.api_url() }).collect();
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(ANSWER_WITHIN).build();
        Ok(Self { controls, nodes, http: http.unwrap_or_default() })
    }

    /// All of them but some.
    pub(crate) fn without(&self, gone: &BTreeSet<String>) -> Self {
        let controls = self.controls.iter().filter(|control| !gone.contains(&control.name)).cloned().collect();
        let nodes = self.nodes.iter().filter(|node| !gone.contains(&node.id)).cloned().collect();
        Self { controls, nodes, http: self.http.clone() }
    }

    /// Each control's answer to a GET; `None` where there is none.
    pub(crate) async fn each(&self, path: &str) -> Vec<Option<Value>> {
        let asks = self.controls.iter().map(async |control| control.get(path).await);
        futures_util::future::join_all(asks).await
    }

    /// Whether every control says of `node` what `holds` wants to hear; a control that does not answer does not.
    pub(crate) async fn all_say(&self, node: &str, holds: impl Fn(&Value) -> bool) -> bool {
        let answers = self.each(&format!("/v1/nodes/{node}")).await;
        !answers.is_empty() && answers.iter().all(|answer| answer.as_ref().is_some_and(&holds))
    }

    /// Processes that a list such as `/v1/edges` has on every control.
    pub(crate) async fn counted(&self, list: &str) -> Vec<Option<usize>> {
        let count = |answer: Option<Value>| Some(answer?["items"].as_array()?.len());
        self.each(list).await.into_iter().map(count).collect()
    }

    /// Live streams and the node each is on, from the first control that answers.
    pub(crate) async fn placements(&self) -> BTreeMap<String, String> {
        for control in &self.controls {
            if let Some(sessions) = control.sessions().await {
                let text = |session: &Value, name: &str| session[name].as_str().map(str::to_owned);
                let publishing = sessions.iter().filter(|session| session["role"] == "publish");
                return publishing.filter_map(|s| Some((text(s, "stream")?, text(s, "node")?))).collect();
            }
        }
        BTreeMap::new()
    }

    /// What keeps the tables from being equal: the controls' among each other, and with the nodes'; `None` when they are equal.
    pub(crate) async fn unequal(&self) -> Option<String> {
        let tables =
            futures_util::future::join_all(self.controls.iter().map(async |control| control.table().await)).await;
        let mut first: Option<(&str, BTreeSet<Pair>)> = None;
        for (control, table) in self.controls.iter().zip(tables) {
            let Some(table) = table else { return Some(format!("{} gives no sessions", control.name)) };
            match &first {
                None => first = Some((&control.name, table)),
                Some((_, other)) if *other == table => {}
                Some((name, other)) => return Some(format!("{name} and {}: {}", control.name, differ(other, &table))),
            }
        }
        let (_, table) = first?;
        let mut truth = BTreeSet::new();
        for node in &self.nodes {
            let Some(clients) = self.clients(node).await else { return Some(format!("{} does not answer", node.id)) };
            truth.extend(clients.clients.into_iter().map(|client| (node.id.clone(), client.id)));
        }
        (table != truth).then(|| format!("control-api and the nodes: {}", differ(&table, &truth)))
    }

    async fn clients(&self, node: &Srs) -> Option<Clients> {
        let url = format!("{}/api/v1/clients/?count={CLIENTS_MAX}", node.base);
        self.http.get(url).send().await.ok()?.json().await.ok()
    }

    /// Streams that more than one client publishes, over all nodes that answer.
    ///
    /// Nodes answer one after the other, so a publisher that moves meanwhile is at both: two are those that a look right behind shows again.
    async fn doubles(&self) -> BTreeSet<String> {
        let seen = self.published_twice().await;
        if seen.is_empty() { seen } else { &seen & &self.published_twice().await }
    }

    async fn published_twice(&self) -> BTreeSet<String> {
        let mut publishers: BTreeMap<String, usize> = BTreeMap::new();
        let all = futures_util::future::join_all(self.nodes.iter().map(|node| self.clients(node))).await;
        for client in all.into_iter().flatten().flat_map(|clients| clients.clients) {
            if client.publish {
                *publishers.entry(client.url).or_default() += 1;
            }
        }
        publishers.into_iter().filter(|(_, count)| *count > 1).map(|(stream, _)| stream).collect()
    }

    /// Waits until `holds`, at most `within`; gives the time it took.
    pub(crate) async fn until(&self, within: Duration, holds: impl AsyncFn(&Self) -> bool) -> Option<Duration> {
        let began = Instant::now();
        loop {
            if holds(self).await {
                return Some(began.elapsed());
            }
            if began.elapsed() >= within {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Control {
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        tokio::time::timeout(ANSWER_WITHIN, self.api.value(Method::GET, path, None)).await.ok()?.ok()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.api.value(Method::POST, path, Some(body)).await
    }

    /// Whether `/readyz` names Redis as away.
    pub(crate) async fn misses_redis(&self) -> bool {
        self.get("/readyz").await.is_some_and(|ready| ready["redis"] == "away")
    }

    async fn sessions(&self) -> Option<Vec<Value>> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/v1/sessions?limit=200{cursor}")).await?;
            items.extend(page["items"].as_array()?.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Some(items),
            }
        }
    }

    async fn table(&self) -> Option<BTreeSet<Pair>> {
        let text = |session: &Value, name: &str| session[name].as_str().map(str::to_owned);
        let sessions = self.sessions().await?;
        Some(sessions.iter().filter_map(|s| Some((text(s, "node")?, text(s, "client_id")?))).collect())
    }
}

fn differ(a: &BTreeSet<Pair>, b: &BTreeSet<Pair>) -> String {
    let only = |a: &BTreeSet<Pair>, b: &BTreeSet<Pair>| {
        let left: Vec<_> = a.difference(b).map(|(node, client)| format!("{node}/{client}")).collect();
        let shown = left.iter().take(3).cloned().collect::<Vec<_>>().join(" ");
        format!("{} ({shown})", left.len())
    };
    format!("{} and {} sessions, only here {}, only there {}", a.len(), b.len(), only(a, b), only(b, a))
}

/// Looks all the time for streams with two publishers.
pub(crate) struct Watch {
    doubles: Arc<Mutex<Doubles>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    pub(crate) fn start(eyes: &Eyes) -> Self {
        let doubles = Arc::new(Mutex::new(Doubles::default()));
        let (log, eyes, began) = (doubles.clone(), eyes.clone(), Instant::now());
        let task = tokio::spawn(async move {
            let mut looks = tokio::time::interval(DOUBLES_EVERY);
            loop {
                looks.tick().await;
                let seen = eyes.doubles().await;
                log.lock().unwrap_or_else(PoisonError::into_inner).look(began.elapsed(), &seen);
            }
        });
        Self { doubles, task }
    }

    pub(crate) fn end(self) -> Doubles {
        self.doubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
