//! One scenario: settle, break something, look, mend it, look again.

use super::{
    audience::{Audience, Keyed, Probe, Stall},
    eyes::{Eyes, Watch},
    row::{Kind, Row},
    tally::{At, Try, longest_without, losses},
};
use crate::{child::ChildError, cluster::Cluster, say};
use rustix::process::Signal;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Longest wait for quiet before a fault.
const QUIET_WITHIN: Duration = Duration::from_secs(25);
/// Longest wait for something to be known.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);
/// Longest wait for media and tables after a fault; more than every promise, to tell late from never.
const MENDED_WITHIN: Duration = Duration::from_secs(40);
/// Clients notice that media stopped within their patience and one look; tables are compared only then.
const NOTICED_WITHIN: Duration = Duration::from_millis(3_500);
/// What a fault without an end of its own is looked at for at least.
const LOOK_AT_LEAST: Duration = Duration::from_secs(6);
/// How long a cut-off control-api is cut off: longer than it takes the others to give it up.
const CUT: Duration = Duration::from_secs(15);
/// Deadline of the drain.
const DRAIN: Duration = Duration::from_secs(10);
/// Longest wait for a media node that was started again.
const BACK_WITHIN: Duration = Duration::from_secs(40);

/// Where scenarios are played.
pub(crate) struct Stage<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) eyes: Eyes,
    pub(crate) audience: &'a Audience,
    /// Streams that new publishers use.
    pub(crate) spare: Vec<Keyed>,
    pub(crate) redis_away: Duration,
}

/// What a fault needs to be undone, and what it touches.
struct Fault {
    kind: Kind,
    /// The child.
    name: String,
    /// The media node whose sessions cannot live.
    node: Option<String>,
    /// Who does not answer while it lasts.
    silent: BTreeSet<String>,
}

/// What was seen while it lasted.
#[derive(Default)]
struct During {
    detect: Option<Duration>,
    lasted: Duration,
}

impl Stage<'_> {
    /// Plays one; what cannot be done is a row that says so.
    pub(crate) async fn play(&mut self, kind: Kind) -> Row {
        let flowing = self.audience.settled(QUIET_WITHIN).await;
        if flowing < self.audience.size() {
            say::note(&format!(
                "chaos: {} of {} clients have media before {}",
                flowing,
                self.audience.size(),
                kind.title()
            ));
        }
        if self.eyes.until(QUIET_WITHIN, async |eyes| eyes.unequal().await.is_none()).await.is_none() {
            let why = self.eyes.unequal().await.unwrap_or_default();
            say::note(&format!("chaos: tables are not equal before {}: {why}", kind.title()));
        }
        let placements = self.eyes.placements().await;
        let fault = self.fault(kind, &placements).await;
        let target = match kind {
            Kind::Redis => format!("{} s", self.redis_away.as_secs()),
            Kind::Partition => format!("{} for {} s", fault.name, CUT.as_secs()),
            Kind::Drain => format!("{} in {} s", fault.name, DRAIN.as_secs()),
            Kind::Node | Kind::Prober | Kind::Postgres | Kind::Edge => fault.name.clone(),
        };
        say::note(&format!("chaos: {} ({target})", kind.title()));
        let row = self.broken(&fault, &placements).await;
        let row =
            row.map_or_else(|why| Row::failed(kind, target.clone(), why), |row| Row { target: target.clone(), ..row });
        if let Err(why) = self.mend(&fault).await {
            say::note(&format!("chaos: after {}: {why}", kind.title()));
        }
        row
    }

    async fn fault(&self, kind: Kind, placements: &BTreeMap<String, String>) -> Fault {
        let mut loads: BTreeMap<&str, usize> = BTreeMap::new();
        placements.values().for_each(|node| *loads.entry(node).or_default() += 1);
        let busiest = loads.into_iter().max_by_key(|(_, load)| *load).map_or("node-0", |(node, _)| node).to_owned();
        let one = |name: &str, node: Option<String>| Fault {
            kind,
            name: name.to_owned(),
            node,
            silent: BTreeSet::from([name.to_owned()]),
        };
        match kind {
            Kind::Node => one(&busiest, Some(busiest.clone())),
            Kind::Drain => Fault { silent: BTreeSet::new(), ..one(&busiest, Some(busiest.clone())) },
            Kind::Prober => one(&self.prober(&busiest).await, None),
            Kind::Redis => one("redis", None),
            Kind::Postgres => one("postgres", None),
            Kind::Edge => one(&format!("edge-{}", self.cluster.plan().options.shape.edges - 1), None),
            Kind::Partition => one(&format!("control-{}", self.cluster.plan().options.shape.controls - 1), None),
        }
    }

    /// The child that probes `node`: control-api names it by its own id, its address tells which child that is.
    async fn prober(&self, node: &str) -> String {
        let first = "control-0".to_owned();
        let Some(control) = self.eyes.controls.first() else { return first };
        let shown = control.get(&format!("/v1/nodes/{node}")).await.unwrap_or_default();
        let listed = control.get("/v1/controls").await.unwrap_or_default();
        let Some(id) = shown["prober"].as_str() else { return first };
        let all = listed["items"].as_array().into_iter().flatten();
        let url = all.filter(|info| info["id"] == id).find_map(|info| info["url"].as_str()).unwrap_or_default();
        let port = |url: &str| url.trim_end_matches('/').rsplit(':').next().map(str::to_owned);
        let found = self.eyes.controls.iter().find(|control| port(&control.base) == port(url));
        found.map_or(first, |control| control.name.clone())
    }

    /// What an edge calls itself, found by its port.
    async fn edge_id(&self, name: &str) -> Result<String, String> {
        let plan = self.cluster.plan();
        let index = (0..plan.options.shape.edges).find(|index| format!("edge-{index}") == name);
        let port = plan.ports.edge_http(index.ok_or("no such edge")?);
        let control = self.eyes.controls.first().ok_or("no control-api")?;
        let listed = control.get("/v1/edges").await.ok_or("control-api does not say which edges there are")?;
        let mut all = listed["items"].as_array().into_iter().flatten();
        let here = all.find(|edge| edge["listen"].as_str().is_some_and(|at| at.ends_with(&format!(":{port}"))));
        here.and_then(|edge| edge["id"].as_str()).map(str::to_owned).ok_or_else(|| format!("{name} is not registered"))
    }

    /// Breaks it and looks on until all is well again or the waiting ends.
    async fn broken(&mut self, fault: &Fault, placements: &BTreeMap<String, String>) -> Result<Row, String> {
        let on_it = placements.iter().filter(|(_, node)| Some(*node) == fault.node.as_ref());
        let mut touched: BTreeSet<String> = on_it.map(|(stream, _)| stream.clone()).collect();
        let mut had_to = BTreeSet::new();
        if fault.kind == Kind::Edge {
            // It relays its clients' media: who is on it loses a session, and who watches somebody on it.
            let edge = self.edge_id(&fault.name).await?;
            touched.extend(self.audience.streams_through(&edge));
            had_to = self.audience.scene.edges.on(&edge);
        }
        had_to.extend(self.audience.of_streams(&touched));
        let began = self.audience.scene.began;
        let (watch, stall) = (Watch::start(&self.eyes), Stall::start());
        let publish = Probe::start(&self.audience.scene, self.spare_streams());
        let view = Probe::start(&self.audience.scene, self.untouched(&touched));
        // The probes' first tries are over before the fault.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let from: At = began.elapsed();
        let (during, over, equal) = self.act(fault).await?;
        let rest = LOOK_AT_LEAST.saturating_sub(began.elapsed().saturating_sub(from));
        tokio::time::sleep(rest).await;
        let until: At = began.elapsed();
        let (published, viewed) = (publish.end(), view.end());
        let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
        for (one, status) in published.iter().chain(&viewed) {
            if one.done >= from {
                *answers.entry(*status).or_default() += 1;
            }
        }
        let tries = |all: Vec<(Try, u16)>| all.into_iter().map(|(one, _)| one).collect::<Vec<_>>();
        Ok(Row {
            failed: None,
            losses: losses(&self.audience.events(), from, &had_to),
            detect: during.detect,
            publish: longest_without(&tries(published), from, until),
            watch: longest_without(&tries(viewed), from, until),
            lasted: during.lasted,
            equal: equal.map(|at| at.saturating_sub(over)),
            doubles: watch.end(),
            answers,
            stall: stall.end(),
            ..Row::failed(fault.kind, String::new(), String::new())
        })
    }

    /// When media flows to everybody and all tables are equal; or what is missing.
    async fn wait_mended(&self, living: &Eyes) -> Result<At, String> {
        let began = self.audience.scene.began;
        let all = self.audience.size();
        self.audience.settled(MENDED_WITHIN).await;
        let equal = living.until(MENDED_WITHIN, async |eyes| eyes.unequal().await.is_none()).await;
        match equal {
            Some(_) => Ok(began.elapsed()),
            None => Err(format!(
                "{}; {} of {all} clients have media",
                living.unequal().await.unwrap_or_default(),
                self.audience.flowing()
            )),
        }
    }

    fn spare_streams(&self) -> Vec<(proto::ids::StreamId, Option<String>)> {
        self.spare.iter().map(|keyed| (keyed.stream.clone(), Some(keyed.key.clone()))).collect()
    }

    fn untouched(&self, touched: &BTreeSet<String>) -> Vec<(proto::ids::StreamId, Option<String>)> {
        let publishers = (0..self.audience.size()).filter(|client| self.audience.is_publisher(*client));
        let streams = publishers.filter_map(|client| self.audience.stream_of(client));
        streams.filter(|stream| !touched.contains(stream.as_str())).map(|stream| (stream.clone(), None)).collect()
    }

    /// Does it, and waits until it is known and, if it ends by itself, over. Then waits until all is well again; gives when that was.
    async fn act(&mut self, fault: &Fault) -> Result<(During, At, Result<At, String>), String> {
        let living = self.eyes.without(&fault.silent);
        let name = fault.name.as_str();
        let fail = |error: ChildError| error.to_string();
        let began = self.audience.scene.began;
        match fault.kind {
            Kind::Node | Kind::Prober | Kind::Edge => {
                self.cluster.children().kill(name).await.map_err(fail)?;
                let died: At = began.elapsed();
                let (detect, equal) = tokio::join!(self.known(fault, &living), async {
                    // Before clients noticed anything, everything looks well.
                    tokio::time::sleep(NOTICED_WITHIN).await;
                    self.wait_mended(&living).await
                });
                return Ok((During { detect, ..During::default() }, died, equal));
            }
            Kind::Postgres => {
                self.cluster.children().stop_one(name).await.map_err(fail)?;
                self.cluster.children().start_again(name).await.map_err(fail)?;
            }
            Kind::Redis => drop(self.cluster.children().stop_one(name).await.map_err(fail)?),
            Kind::Partition => self.cluster.children().signal(name, Signal::STOP).map_err(fail)?,
            Kind::Drain => self.order_drain(name).await?,
        }
        let lasts = match fault.kind {
            Kind::Redis => self.redis_away,
            Kind::Partition => CUT,
            Kind::Drain => DRAIN,
            Kind::Postgres | Kind::Node | Kind::Prober | Kind::Edge => Duration::ZERO,
        };
        let struck = began.elapsed();
        let detect = self.known(fault, &living).await;
        tokio::time::sleep(lasts.saturating_sub(began.elapsed().saturating_sub(struck))).await;
        match fault.kind {
            Kind::Redis => self.cluster.children().start_again(name).await.map_err(fail)?,
            Kind::Partition => self.cluster.children().signal(name, Signal::CONT).map_err(fail)?,
            Kind::Node | Kind::Prober | Kind::Postgres | Kind::Edge | Kind::Drain => {}
        }
        let over: At = began.elapsed();
        tokio::time::sleep(NOTICED_WITHIN).await;
        let equal = self.wait_mended(&self.eyes).await;
        Ok((During { detect, lasted: lasts }, over, equal))
    }

    /// Until the cluster knows; `None` when it never says so, or when there is nothing to know.
    async fn known(&self, fault: &Fault, living: &Eyes) -> Option<Duration> {
        let name = fault.name.as_str();
        let shape = self.cluster.plan().options.shape;
        match fault.kind {
            Kind::Node => {
                living.until(KNOWN_WITHIN, async |eyes| eyes.all_say(name, |n| n["state"] == "down").await).await
            }
            Kind::Drain => {
                living.until(KNOWN_WITHIN, async |eyes| eyes.all_say(name, |n| n["draining"] == true).await).await
            }
            Kind::Prober | Kind::Partition => fewer(living, "/v1/controls", usize::from(shape.controls)).await,
            Kind::Edge => fewer(living, "/v1/edges", usize::from(shape.edges)).await,
            Kind::Redis => without_redis(living).await,
            Kind::Postgres => None,
        }
    }

    async fn order_drain(&self, node: &str) -> Result<(), String> {
        let control = self.eyes.controls.first().ok_or("there is no control-api")?;
        let body = json!({"deadline_seconds": DRAIN.as_secs()});
        control.post(&format!("/v1/nodes/{node}:drain"), &body).await.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Puts things back for the next scenario.
    async fn mend(&mut self, fault: &Fault) -> Result<(), String> {
        let name = fault.name.as_str();
        match fault.kind {
            Kind::Redis | Kind::Postgres => Ok(()),
            Kind::Partition => self.cluster.children().signal(name, Signal::CONT).map_err(|error| error.to_string()),
            Kind::Node | Kind::Prober | Kind::Edge => {
                self.cluster.children().start_again(name).await.map_err(|error| error.to_string())?;
                let Some(node) = &fault.node else { return Ok(()) };
                self.until_up(node).await
            }
            Kind::Drain => {
                let control = self.eyes.controls.first().ok_or("there is no control-api")?;
                let undone = control.post(&format!("/v1/nodes/{name}:undrain"), &json!({})).await;
                undone.map(|_| ()).map_err(|error| error.to_string())
            }
        }
    }

    async fn until_up(&self, node: &str) -> Result<(), String> {
        let up = async |eyes: &Eyes| eyes.all_say(node, |node| node["state"] == "up").await;
        match self.eyes.until(BACK_WITHIN, up).await {
            Some(took) => {
                say::note(&format!("chaos: {node} is up again {} after its start", super::row::seconds(took)));
                Ok(())
            }
            None => Err(format!("{node} was started again and is not up within {BACK_WITHIN:?}")),
        }
    }
}

/// Until all that live list one process less than `all`.
async fn fewer(living: &Eyes, list: &str, all: usize) -> Option<Duration> {
    let less = async |eyes: &Eyes| eyes.counted(list).await.iter().all(|count| count.is_some_and(|count| count < all));
    living.until(KNOWN_WITHIN, less).await
}

/// Until all say that Redis is away.
async fn without_redis(living: &Eyes) -> Option<Duration> {
    let away = async |eyes: &Eyes| {
        let asks = eyes.controls.iter().map(async |control| control.misses_redis().await);
        futures_util::future::join_all(asks).await.into_iter().all(|away| away)
    };
    living.until(KNOWN_WITHIN, away).await
}
