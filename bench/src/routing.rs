//! Where a viewer goes: decided by what the edge holds in memory, and by a round trip to Redis, with the edge's own parts for both.

use crate::{
    redis::Redis,
    report::{Latencies, Report},
};
use anyhow::{Context as _, ensure};
use edge::{
    admit::{Admission, Ask, RateLimit},
    config::AuthMode,
    control::Control,
    metrics::Metrics,
    nodes::Nodes,
    replica::Replica,
};
use futures_util::future::join_all;
use kit::{
    env::Env,
    kv::{Kv, Redis as Client, RedisConfig},
    testing::TestRedis,
};
use proto::{
    EdgeId, NodeId, ServiceId, SessionId, StreamId, UserId,
    fleet::{Placement, StreamCache},
    keys,
    node::{Member, Membership, NodeAddresses, NodeLimits, NodeState},
    session::Protocol,
    stream::Visibility,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Live streams, all public.
const STREAMS: usize = 100_000;
/// Media nodes, all up.
const NODES: usize = 64;
const MEASURED: Duration = Duration::from_secs(4);
/// Decisions between two looks at the clock, in memory.
const BATCH: u64 = 256;
/// Viewers decided about at once, by Redis, in turn.
const AT_ONCE: [usize; 2] = [1, 64];

/// What an edge decides with.
#[derive(Debug)]
struct Parts {
    replica: Replica,
    nodes: Nodes,
    kv: Kv,
    admission: Admission,
    streams: Vec<StreamId>,
    _redis: TestRedis,
}

/// Measures.
///
/// # Errors
/// A part does not start, or a decision is wrong.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub async fn run() -> anyhow::Result<Report> {
    let parts = Arc::new(Parts::start().await?);
    let mut report = Report::new("viewer routing");
    let threads = thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, threads] {
        let rate = tokio::task::block_in_place(|| in_memory(&parts, threads))?;
        report.add(format!("from the replica, {threads} threads: decisions"), rate, "/s");
    }
    for at_once in AT_ONCE {
        let (rate, mut latencies) = by_redis(&parts, at_once, Trip::Placement).await?;
        report.add(format!("from Redis, {at_once} at once, the placement alone: decisions"), rate, "/s");
        report.add(format!("from Redis, {at_once} at once, the placement alone: p99"), latencies.percentile(99), "ms");
    }
    for at_once in AT_ONCE {
        let (rate, mut latencies) = by_redis(&parts, at_once, Trip::Admission).await?;
        report.add(format!("from Redis, {at_once} at once, with admission: decisions"), rate, "/s");
        report.add(format!("from Redis, {at_once} at once, with admission: p99"), latencies.percentile(99), "ms");
    }
    report.add("live streams", STREAMS as f64, "");
    Ok(report)
}

/// What one round trip asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trip {
    /// The placement and nothing else.
    Placement,
    /// What the edge asks for a POST without a credential: rate limit, visibility and placement.
    Admission,
}

impl Parts {
    async fn start() -> anyhow::Result<Self> {
        let redis = TestRedis::start();
        let mut env = Env::new([("REDIS_ADDR".to_owned(), redis.addr())]);
        let kv = Client::connect(&RedisConfig::read(&mut env)).await.map_err(anyhow::Error::msg)?;
        let (replica, metrics) = (Replica::new(None), Metrics::new()?);
        let control = Control::new(&[], replica.clone(), EdgeId::parse("bench")?, metrics.clone())?;
        let limit = RateLimit::default();
        let admission = Admission::new(AuthMode::Token, limit, kv.clone(), replica.clone(), control, metrics);
        let (nodes, _) = Nodes::new(&[], None);
        let members = (0..NODES).map(member).collect::<anyhow::Result<_>>()?;
        nodes.learn(&Membership { version: 1, members })?;
        let placements = (0..STREAMS).map(placement).collect::<anyhow::Result<Vec<_>>>()?;
        let cache = StreamCache { visibility: Visibility::Public, owner: UserId::from_bytes([1; 16]) };
        let cache = serde_json::to_string(&cache)?;
        let mut pairs = Vec::with_capacity(2 * STREAMS);
        for placement in &placements {
            pairs.push((keys::placement(&placement.stream), serde_json::to_string(placement)?));
            pairs.push((keys::stream(&placement.stream), cache.clone()));
        }
        Redis::connect(&redis.addr()).await?.set_all(&pairs).await?;
        let streams = placements.iter().map(|placement| placement.stream.clone()).collect();
        replica.change_placements(|all| all.replace(placements.into_iter()));
        Ok(Self { replica, nodes, kv, admission, streams, _redis: redis })
    }

    fn stream(&self, number: u64) -> anyhow::Result<&StreamId> {
        // Neighbours are far apart, as viewers' streams are.
        let index = usize::try_from(number.wrapping_mul(7_919) % u64::try_from(STREAMS)?)?;
        self.streams.get(index).context("the remainder is an index")
    }

    /// As the edge does before it opens the session there: the node is known, runs as it did, and answers.
    fn usable(&self, at: Option<&Placement>) -> bool {
        let node = at.and_then(|at| Some((at, self.nodes.get(&at.node)?)));
        node.is_some_and(|(at, node)| !node.lost && node.up && node.service.as_ref() == Some(&at.service))
    }

    async fn ask(&self, number: u64, trip: Trip) -> anyhow::Result<()> {
        let stream = self.stream(number)?;
        let placement = match trip {
            Trip::Placement => self.kv.json::<Placement>(&keys::placement(stream)).await?,
            Trip::Admission => {
                // Each from an address of its own: a limit is kept for each.
                let client = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | u32::try_from(number & 0x00ff_ffff)?));
                let session = SessionId::from_bytes([7; 16]);
                let ask = Ask { stream, credential: None, client, session };
                self.admission.play(ask, true).await.map_err(|error| anyhow::anyhow!("{error:?}"))?.placement
            }
        };
        ensure!(self.usable(placement.as_ref()), "a live stream has a node");
        Ok(())
    }
}

/// Decisions a second, all threads together.
#[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
fn in_memory(parts: &Parts, threads: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    let one = |first: u64| {
        let mut number = first << 32;
        while began.elapsed() < MEASURED {
            for _ in 0..BATCH {
                let stream = parts.stream(number)?;
                let placement = parts.replica.placements(|all| all.get(stream).cloned());
                ensure!(parts.usable(placement.as_ref()), "a live stream has a node");
                number += 1;
            }
        }
        anyhow::Ok(number - (first << 32))
    };
    let counts: Vec<anyhow::Result<u64>> = thread::scope(|scope| {
        let one = &one;
        let running: Vec<_> = (0..threads as u64).map(|first| scope.spawn(move || one(first))).collect();
        running
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked"))))
            .collect()
    });
    let mut all = 0;
    for count in counts {
        all += count?;
    }
    Ok(all as f64 / began.elapsed().as_secs_f64())
}

/// Decisions a second and their latencies.
#[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
async fn by_redis(parts: &Arc<Parts>, at_once: usize, trip: Trip) -> anyhow::Result<(f64, Latencies)> {
    let began = Instant::now();
    let one = |first: usize| {
        let parts = Arc::clone(parts);
        tokio::spawn(async move {
            let (mut latencies, mut count) = (Latencies::default(), 0_u64);
            let mut number = u64::try_from(first)?;
            while began.elapsed() < MEASURED {
                let at = Instant::now();
                parts.ask(number, trip).await?;
                latencies.add(at.elapsed());
                number += u64::try_from(at_once)?;
                count += 1;
            }
            anyhow::Ok((count, latencies))
        })
    };
    let (mut all, mut latencies) = (0, Latencies::default());
    for done in join_all((0..at_once).map(one)).await {
        let (count, own) = done??;
        all += count;
        latencies.join(own);
    }
    Ok((all as f64 / began.elapsed().as_secs_f64(), latencies))
}

fn node(number: usize) -> anyhow::Result<(NodeId, ServiceId)> {
    Ok((NodeId::parse(&format!("node-{number}"))?, ServiceId::parse(&format!("run{number:06}"))?))
}

fn member(number: usize) -> anyhow::Result<Member> {
    let (id, service) = node(number)?;
    Ok(Member {
        id,
        service: Some(service),
        state: NodeState::Up,
        draining: false,
        weight: 1,
        zone: None,
        at: NodeAddresses { api: format!("127.0.0.1:{}", 10_000 + number), ..NodeAddresses::default() },
        public: Vec::new(),
        limits: NodeLimits::default(),
    })
}

fn placement(number: usize) -> anyhow::Result<Placement> {
    let (node, service) = node(number % NODES)?;
    Ok(Placement {
        stream: StreamId::parse(&format!("bench{number:07}"))?,
        node,
        service,
        epoch: 1,
        session: SessionId::from_bytes([9; 16]),
        protocol: Protocol::Webrtc,
        since_ms: kit::clock::unix_ms(),
    })
}
