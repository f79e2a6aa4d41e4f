//! Faults that make the rest of the alerts rise, in clusters of three nodes: load, publishers at a node, nodes that come and go, stores long away.
use crate::observe::Watched;
use futures_util::{StreamExt as _, future::join_all, stream};
use keystone::{
    media::{self, PlayOptions, PublishOptions, SessionHandle},
    plan::Options,
    ports::Shape,
    postgres,
};
use proto::{ids::StreamId, session::Role, stream::Visibility};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use serde_json::json;
use std::time::Duration;
use tokio::net::TcpStream;

/// Streams that begin on one of three nodes: more than four, and three times the mean.
const ON_ONE_NODE: usize = 5;
/// The node they are on.
const FULL: u16 = 2;
/// Requests that meet a table that is locked: enough to be more than one in a hundred of five minutes.
const STUCK: usize = 60;
/// How long they meet it at least: above a second, which is slow, and below the 5 s at which Postgres ends a statement.
const LOCKED_SECONDS: f64 = 1.5;
/// Publishers with no right to, in one go: more than one in two seconds over five minutes.
const INTRUDERS: usize = 220;
/// How long a control-api gets no turn.
const FROZEN: Duration = Duration::from_secs(2);
/// Sessions that begin meanwhile.
const MEANWHILE: usize = 4;
/// Descriptors that an edge is left beside those it has open, and connections that come then.
const DESCRIPTORS: (u64, usize) = (60, 52);
/// Calls that go on at once.
const SIDE_BY_SIDE: usize = 48;
/// Ends told while Postgres is away: more than the journal holds.
const ENDS: usize = proto::journal::ENTRIES_MAX + 50;
/// Refused publishers meanwhile, each of whom a kick is owed: more than are remembered.
const REFUSED: usize = 1_100;

fn three_nodes(options: Options) -> Options {
    Options { shape: Shape { nodes: 3, ..options.shape }, ..options }
}

/// Slow stores, publishers that go straight to a node, a process that gets no turn, and one without descriptors.
pub(crate) async fn of_load(test: &str) {
    let Some(mut watched) = Watched::start(test, three_nodes).await else { return };
    let publishers = watched.locked_tables().await;
    watched.intruders().await;
    watched.frozen_control(&publishers).await;
    watched.few_descriptors().await;
    drop(publishers);
    watched.up.stop().await;
}

/// Nodes that come and go, also while Redis is away, and Postgres away for so long that hooks are lost.
pub(crate) async fn of_nodes_and_stores(test: &str) {
    let Some(mut watched) = Watched::start(test, three_nodes).await else { return };
    watched.node_lost_without_redis().await;
    watched.flapping_nodes().await;
    watched.postgres_long_away().await;
    drop(watched.up.cluster.stop().await);
}

impl Watched {
    /// WHIP at a node itself, past the edges.
    fn at_node(&self, stream: &StreamId, token: &str) -> PublishOptions {
        let plan = self.up.cluster.plan();
        let api = plan.nodes[usize::from(FULL)].api_url();
        let url = format!("{api}/rtc/v1/whip/?app=live&stream={stream}&token={token}");
        PublishOptions { url, local_ip: Some(plan.candidate()), ..Default::default() }
    }

    /// Somebody locks tables while publishers come to one node and others read.
    async fn locked_tables(&self) -> Vec<(StreamId, SessionHandle)> {
        let mut come = Vec::new();
        for _ in 0..ON_ONE_NODE {
            let stream = self.up.stream(Visibility::Public).await.id;
            let token = self.up.token(&stream, Role::Publish).await.token;
            come.push((stream.clone(), self.at_node(&stream, &token)));
        }
        let read = format!("{}/api/v1/streams/{}", self.up.cluster.origin(), come[0].0);
        // A series that begins with the fault has no increase to see: both are there before.
        let (stream, options) = come.remove(0);
        let first = (stream, media::publish(options).await.unwrap());
        for _ in 0..SIDE_BY_SIDE {
            assert!(self.http.get(&read).send().await.unwrap().status().is_success());
        }
        self.scraped("sum(keystone_control_hook_seconds_count{action=\"on_publish\"}) >= 1").await;
        self.scraped("count(keystone_control_http_request_seconds_count{route=\"/v1/streams/{stream}\"}) == 2").await;
        let url = self.up.cluster.plan().postgres.url(keystone::services::DATABASE);
        let (mut holder, watcher) = (postgres::connect(&url).await.unwrap(), postgres::connect(&url).await.unwrap());
        let lock = holder.transaction().await.unwrap();
        lock.batch_execute("LOCK TABLE claims, streams IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let enough = i64::try_from(come.len()).unwrap();
        let reads = join_all((0..STUCK).map(|_| self.http.get(&read).send()));
        let published = join_all(
            come.into_iter().map(|(stream, options)| async move { (stream, media::publish(options).await.unwrap()) }),
        );
        let unlocked = async {
            let waiting = "SELECT count(*) > $1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                           AND query_start < now() - make_interval(secs => $2)";
            crate::support::eventually("hooks and requests wait", async || {
                let row = watcher.query_one(waiting, &[&enough, &LOCKED_SECONDS]).await.unwrap();
                row.get::<_, bool>(0).then_some(())
            })
            .await;
            lock.commit().await.unwrap();
        };
        let (_, mut publishers, ()) = tokio::join!(reads, published, unlocked);
        publishers.push(first);
        for (stream, _) in &publishers {
            let live = crate::support::eventually("it is live", async || self.up.admin.stream(stream).await.ok()?.live);
            assert_eq!(live.await.node.as_str(), keystone::node::id(FULL));
        }
        self.rises(&["KeystoneSlow", "KeystoneHooksSlow", "KeystonePlacementUneven"]).await;
        publishers
    }

    /// Publishers whose token is none, at a node.
    async fn intruders(&self) {
        // Each under a name of its own: a node asks nobody about a name that it is just asking about.
        let intruder = |number: usize| {
            let stream = StreamId::parse(&format!("intruder{number}")).unwrap();
            media::publish(self.at_node(&stream, "not-a-token"))
        };
        assert!(intruder(INTRUDERS).await.is_err());
        self.scraped("sum(keystone_control_hooks_total{verdict=\"token\"}) >= 1").await;
        let all = stream::iter(0..INTRUDERS).map(intruder);
        let refused = all.buffer_unordered(SIDE_BY_SIDE).filter(|came| std::future::ready(came.is_err()));
        assert_eq!(refused.count().await, INTRUDERS);
        self.rises(&["KeystoneHooksRefused"]).await;
    }

    /// Viewers come while a control-api gets no turn: it hears of them late. The one that took their hooks would hear of none, so each is stopped once.
    async fn frozen_control(&mut self, publishers: &[(StreamId, SessionHandle)]) {
        let mut viewers = Vec::new();
        for control in ["control-0", "control-1"] {
            self.up.cluster.children().signal(control, Signal::STOP).unwrap();
            let came = join_all(publishers.iter().take(MEANWHILE).map(|(stream, _)| {
                media::play(PlayOptions {
                    url: self.up.whep(stream),
                    token: None,
                    local_ip: Some(self.up.cluster.plan().candidate()),
                })
            }));
            let (came, ()) = tokio::join!(came, tokio::time::sleep(FROZEN));
            self.up.cluster.children().signal(control, Signal::CONT).unwrap();
            viewers.extend(came.into_iter().flatten());
        }
        assert!(viewers.len() >= MEANWHILE, "those that the other one let in: {}", viewers.len());
        self.rises(&["KeystoneGossipLag"]).await;
    }

    /// An edge is left few descriptors, and clients that say nothing take most of them.
    async fn few_descriptors(&mut self) {
        let plan = self.up.cluster.plan();
        let (http, rtmp) = (plan.ports.edge_http(1), plan.ports.edge_rtmp(1));
        let query = format!("process_open_fds{{instance=\"127.0.0.1:{http}\"}}");
        let told = self.ask("query", &[("query", &query)]).await;
        let open: u64 = told["data"]["result"][0]["value"][1].as_str().unwrap().parse().unwrap();
        let running = self.up.cluster.children().running();
        let (_, pid) = *running.iter().find(|(name, _)| *name == "edge-1").unwrap();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap());
        let few = Rlimit { current: Some(open + DESCRIPTORS.0), maximum: getrlimit(Resource::Nofile).maximum };
        let before = prlimit(pid, Resource::Nofile, few).unwrap();
        let silent = join_all((0..DESCRIPTORS.1).map(|_| TcpStream::connect(("127.0.0.1", rtmp)))).await;
        self.rises(&["KeystoneDescriptors"]).await;
        drop(silent);
        prlimit(pid, Resource::Nofile, before).unwrap();
    }

    /// What one control-api finds of a node, the edges cannot hear.
    async fn node_lost_without_redis(&mut self) {
        let children = self.up.cluster.children();
        children.signal("redis", Signal::STOP).unwrap();
        children.kill("node-0").await.unwrap();
        self.rises(&["KeystoneMembershipBehind"]).await;
        let children = self.up.cluster.children();
        children.signal("redis", Signal::CONT).unwrap();
        children.start_again("node-0").await.unwrap();
        self.scraped("min(keystone_control_nodes{state=\"up\"}) == 3").await;
    }

    /// Two nodes go down twice each.
    async fn flapping_nodes(&mut self) {
        for _ in 0..2 {
            for node in ["node-0", "node-1"] {
                self.up.cluster.children().kill(node).await.unwrap();
            }
            self.scraped("max(keystone_control_nodes{state=\"down\"}) == 2").await;
            for node in ["node-0", "node-1"] {
                self.up.cluster.children().start_again(node).await.unwrap();
            }
            self.scraped("min(keystone_control_nodes{state=\"up\"}) == 3").await;
        }
        self.rises(&["KeystoneNodeFlapping"]).await;
    }

    /// What would take hours is told in a minute, in the name of a node that hangs and with its secret: publishers that are refused and cannot be kicked,
    /// and ends of publishers.
    async fn postgres_long_away(&mut self) {
        let stream = self.up.stream(Visibility::Public).await.id;
        self.up.cluster.children().stop_one("postgres").await.unwrap();
        self.up.cluster.children().signal("node-0", Signal::STOP).unwrap();
        self.scraped("min(keystone_control_postgres_up) == 0 and max(keystone_control_nodes{state=\"down\"}) == 1")
            .await;
        self.hooks("on_publish", "?token=not-a-token", &stream, REFUSED).await;
        self.rises(&["KeystoneKicksGivenUp"]).await;
        self.hooks("on_unpublish", "", &stream, ENDS).await;
        self.rises(&["KeystoneJournalLost"]).await;
    }

    async fn hooks(&self, action: &str, param: &str, stream: &StreamId, count: usize) {
        let plan = self.up.cluster.plan();
        let url = format!("http://127.0.0.1:{}/v1/hooks/srs/node-0/{}", plan.ports.control(0), plan.nodes[0].secret);
        let all = stream::iter(0..count).map(|number| {
            let body = json!({
                "action": action, "client_id": format!("c{number}"), "server_id": "node-0", "service_id": "over", "ip": "127.0.0.1",
                "vhost": "__defaultVhost__", "app": "live", "stream": stream, "param": param, "stream_url": format!("/live/{stream}"),
            });
            self.http.post(&url).json(&body).send()
        });
        let answered = all.buffer_unordered(SIDE_BY_SIDE);
        let taken = answered.filter(|answer| std::future::ready(answer.as_ref().is_ok_and(|it| it.status() == 200)));
        assert_eq!(taken.count().await, count, "{action} is answered");
    }
}
