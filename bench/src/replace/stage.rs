//! The cluster, its publisher, and those who look.

use crate::{
    process::Scratch,
    wire::{Conn, get},
};
use anyhow::{Context as _, bail, ensure};
use futures_util::future::{join_all, try_join_all};
use keystone::{
    api::Api,
    cluster::Cluster,
    config::{Config, Media},
    media::{self, MediaError, PlayOptions, PublishOptions, SessionHandle, Source, Still},
    plan::{Options, PortBase},
    ports::Shape,
};
use proto::{
    api::{CreateStream, Node},
    stream::Visibility,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Two witnesses, two edges, and a node to go to that is not the only other one.
const SHAPE: Shape = Shape { controls: 2, edges: 2, nodes: 3 };
/// Between two POSTs of a client.
const POST_EVERY: Duration = Duration::from_millis(100);
/// Between two looks at a process: what times are good to.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Between two pictures of the publisher.
const PICTURE_EVERY: Duration = Duration::from_millis(100);
/// Longest wait for anything.
const WITHIN: Duration = Duration::from_secs(30);

/// All of it.
#[derive(Debug)]
pub(super) struct Stage {
    cluster: Cluster,
    /// Each control-api alone.
    controls: Vec<Api>,
    edges: Vec<SocketAddr>,
    still: Still,
    stream: String,
    key: String,
    publisher: Option<SessionHandle>,
    /// When the node that was killed last runs again.
    revived: Instant,
    _dir: Scratch,
}

/// From the kill of a node; without clients that ask, `known` alone is a measurement.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) known: Duration,
    pub(super) published: Duration,
    pub(super) watched: Duration,
    pub(super) seen: Duration,
}

impl Stage {
    pub(super) async fn open(media: Media, config: &Config) -> anyhow::Result<Self> {
        let dir = Scratch::new("replace")?;
        let options = Options {
            shape: SHAPE,
            ports: PortBase::Free,
            media: Some(media),
            data: dir.path().join("data"),
            rate_limits: false,
            ..Options::in_repository(&std::env::current_dir()?)
        };
        let cluster = Cluster::start(options, config, &CancellationToken::new()).await?;
        let (admin, ports) = (cluster.admin(), cluster.plan().ports);
        let sign_in = (0..SHAPE.controls).map(async |control| {
            let base = format!("http://127.0.0.1:{}", ports.control(control));
            Api::new(&base).sign_in(&admin.email, &admin.password).await
        });
        let controls = try_join_all(sign_in).await?;
        let edges = (0..SHAPE.edges).map(|edge| (Ipv4Addr::LOCALHOST, ports.edge_http(edge)).into()).collect();
        let body = CreateStream { title: "Bench".to_owned(), visibility: Visibility::Public };
        let made = controls.first().context("no control-api")?.create_stream(&body).await?;
        Ok(Self {
            cluster,
            controls,
            edges,
            still: Still::draw(PICTURE_EVERY).await?,
            stream: made.stream.id.to_string(),
            key: made.stream_key,
            publisher: None,
            revived: Instant::now(),
            _dir: dir,
        })
    }

    pub(super) async fn close(self) {
        self.cluster.stop().await;
    }

    /// Publishes, at the first try that goes well.
    pub(super) async fn publish(&mut self) -> anyhow::Result<()> {
        self.publisher = Some(self.until_published().await?);
        Ok(())
    }

    /// Waits until everybody holds every node up and the stream is live; the node it is on, and how long after its start the last one was up.
    pub(super) async fn settled(&self) -> anyhow::Result<(String, Duration)> {
        let deadline = Instant::now() + WITHIN;
        loop {
            let told = join_all(self.controls.iter().map(all_up)).await;
            let edges =
                join_all(self.edges.iter().map(|edge| metric(*edge, "keystone_edge_nodes{state=\"up\"}"))).await;
            let homes: Option<Vec<String>> = told.into_iter().collect();
            let known = edges.iter().all(|up| up.as_ref().is_ok_and(|up| *up == u64::from(SHAPE.nodes)));
            if let (Some(home), true) = (homes.as_deref().and_then(|homes| homes.first()), known) {
                return Ok((home.clone(), self.revived.elapsed()));
            }
            ensure!(
                Instant::now() < deadline,
                "the cluster is not whole within {WITHIN:?}: live on {homes:?}, edges use {edges:?} nodes"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Kills the node; `asked`: clients want the stream from that moment on.
    pub(super) async fn kill(&mut self, node: &str, asked: bool) -> anyhow::Result<Lost> {
        let before = try_join_all(self.edges.iter().map(|edge| lost_nodes(*edge))).await?;
        let killed = Instant::now();
        self.cluster.children().kill(node).await?;
        if let Some(publisher) = self.publisher.take() {
            publisher.abandon();
        }
        let known = async {
            self.until_known(node, &before).await?;
            anyhow::Ok(killed.elapsed())
        };
        let replaced = Box::pin(async {
            let publish = async { anyhow::Ok((self.until_published().await?, killed.elapsed())) };
            let watch = async {
                let session = self.until_watched().await?;
                let watched = killed.elapsed();
                session.until(WITHIN, |stats| stats.frames_video > 0).await?;
                let seen = killed.elapsed();
                session.stop().await?;
                anyhow::Ok((watched, seen))
            };
            tokio::try_join!(publish, watch)
        });
        let (known, ((publisher, published), (watched, seen))) =
            if asked { tokio::try_join!(known, replaced)? } else { (known.await?, replaced.await?) };
        self.publisher = Some(publisher);
        let homes: Vec<String> = self.nodes().await?.into_iter().filter(|n| n.streams > 0).map(|n| n.id).collect();
        ensure!(
            !homes.is_empty() && !homes.iter().any(|home| home == node),
            "the stream is on {homes:?}, {node} was killed"
        );
        Ok(Lost { known, published, watched, seen })
    }

    /// Starts a killed node again.
    pub(super) async fn revive(&mut self, node: &str) -> anyhow::Result<()> {
        self.revived = Instant::now();
        Ok(self.cluster.children().start_again(node).await?)
    }

    async fn nodes(&self) -> anyhow::Result<Vec<Node>> {
        Ok(self.controls.first().context("no control-api")?.nodes().await?.items)
    }

    /// Until every control-api says that the node is down, and every edge has taken it out with all it carried.
    async fn until_known(&self, node: &str, before: &[u64]) -> anyhow::Result<()> {
        let controls = self.controls.iter().map(|control| {
            until(async || {
                let nodes = control.nodes().await?.items;
                anyhow::Ok(nodes.iter().any(|known| known.id == node && known.state == "down"))
            })
        });
        let edges = self.edges.iter().zip(before);
        let edges = edges.map(|(edge, before)| until(async || Ok(lost_nodes(*edge).await? > *before)));
        tokio::try_join!(try_join_all(controls), try_join_all(edges)).map(|_| ())
    }

    async fn until_published(&self) -> anyhow::Result<SessionHandle> {
        let url = format!("{}/rtc/v1/whip/{}", self.cluster.origin(), self.stream);
        let local_ip = Some(self.cluster.plan().candidate());
        let options = PublishOptions {
            url,
            token: Some(self.key.clone()),
            local_ip,
            via: None,
            source: Source::Still(self.still.clone()),
        };
        until_opened(|| media::publish(options.clone())).await.context("nobody could publish")
    }

    async fn until_watched(&self) -> anyhow::Result<SessionHandle> {
        let url = format!("{}/rtc/v1/whep/{}", self.cluster.origin(), self.stream);
        let local_ip = Some(self.cluster.plan().candidate());
        let options = PlayOptions { url, token: None, local_ip };
        until_opened(|| media::play(options.clone())).await.context("nobody could watch")
    }
}

/// The node of the one live stream, when this control-api holds all nodes up.
async fn all_up(control: &Api) -> Option<String> {
    let nodes = control.nodes().await.ok()?.items;
    let all = nodes.len() == usize::from(SHAPE.nodes) && nodes.iter().all(|node| node.state == "up");
    nodes.into_iter().find(|node| all && node.streams == 1).map(|node| node.id)
}

/// Times that an edge took out a node with all it carried.
async fn lost_nodes(edge: SocketAddr) -> anyhow::Result<u64> {
    metric(edge, "keystone_edge_nodes_lost_total").await
}

async fn metric(edge: SocketAddr, name: &str) -> anyhow::Result<u64> {
    let mut conn = Conn::new(edge);
    let answer = conn.ask(&get("/metrics")).await?;
    let text = std::str::from_utf8(answer.body)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.with_context(|| format!("{edge} has no {name}"))?.parse()?)
}

async fn until(holds: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + WITHIN;
    while !holds().await? {
        ensure!(Instant::now() < deadline, "the node is not held down everywhere within {WITHIN:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// POSTs until one is answered with 201.
async fn until_opened<F>(open: impl Fn() -> F) -> anyhow::Result<SessionHandle>
where
    F: Future<Output = Result<SessionHandle, MediaError>>,
{
    let deadline = Instant::now() + WITHIN;
    let mut posts = tokio::time::interval(POST_EVERY);
    posts.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        posts.tick().await;
        match open().await {
            Ok(session) => return Ok(session),
            Err(error) if Instant::now() >= deadline => bail!("not within {WITHIN:?}; at last: {error}"),
            Err(_) => {}
        }
    }
}
