//! History: viewers and bitrates of every live stream each 10 s. While Postgres is away the points wait in a capped stream in Redis.

use super::{JobError, lease};
use crate::{
    app::State,
    store::pg::{
        claims::{self, Held},
        samples::{self, Figures, Point},
    },
};
use kit::{
    clock,
    kv::{Cmd, Reply},
};
use proto::{StreamId, fleet::NodeInfo, keys, srs::api::Kbps};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// One control node samples at a time; shorter than the period.
const LEASE: Duration = Duration::from_secs(9);
/// Points moved from Redis to Postgres at once.
const BATCH: u32 = 500;

/// One turn.
///
/// # Errors
/// Both stores away, or a node that cannot be asked because neither is there.
pub async fn run_once(state: &Arc<State>) -> Result<(), JobError> {
    if !lease(state, "samples", LEASE).await {
        return Ok(());
    }
    let points = take(state).await?;
    if !points.is_empty() && samples::insert(&state.pg, &points).await.is_err() {
        return queue(state, &points).await;
    }
    drain(state).await
}

/// What is live now. With Postgres away the sessions tell.
async fn take(state: &State) -> Result<Vec<Point>, JobError> {
    let nodes: Vec<NodeInfo> = state.nodes.all().into_iter().filter_map(|(_, info)| info).collect();
    let asked = nodes.iter().map(|info| async {
        let api = state.nodes.api(&info.id)?;
        state.srs.streams(&api, &info.service).await.ok()
    });
    let mut kbps: HashMap<StreamId, (Kbps, u64)> = HashMap::new();
    for streams in futures_util::future::join_all(asked).await.into_iter().flatten() {
        for stream in streams.streams.iter().filter(|stream| stream.publish.active) {
            let name = stream.url.rsplit('/').next().unwrap_or_default();
            if let Ok(id) = StreamId::parse(name) {
                kbps.insert(id, (stream.kbps, stream.clients.saturating_sub(1)));
            }
        }
    }
    let at_ms = clock::unix_ms();
    let live = claims::live(&state.pg, None).await;
    let streams: Vec<StreamId> = match &live {
        Ok(live) => live.iter().map(|held| held.stream.clone()).collect(),
        Err(_) => kbps.keys().cloned().collect(),
    };
    let counted = viewers(state, live.as_deref().unwrap_or_default()).await;
    let point = |stream: StreamId| {
        let (kbps, at_node) = kbps.get(&stream).copied().unwrap_or_default();
        let viewers = counted.get(&stream).copied().unwrap_or(at_node);
        let figures = Figures { at_ms, viewers, kbps_in: kbps.recv_30s, kbps_out: kbps.send_30s };
        Point { stream, figures }
    };
    Ok(streams.into_iter().map(point).collect())
}

async fn viewers(state: &State, live: &[Held]) -> HashMap<StreamId, u64> {
    let placements = live.iter().map(Held::placement).collect();
    let counts = state.sessions.viewers(placements).await.unwrap_or_default();
    live.iter().map(|held| held.stream.clone()).zip(counts).collect()
}

async fn queue(state: &State, points: &[Point]) -> Result<(), JobError> {
    let mut commands = Vec::with_capacity(points.len());
    for point in points {
        let json = serde_json::to_vec(point)?;
        let add = Cmd::on("XADD", keys::HISTORY_QUEUE).arg("MAXLEN").arg("~").num(keys::HISTORY_QUEUE_MAX);
        commands.push(add.arg("*").arg("p").arg(json));
    }
    state.kv.run(commands).await?;
    Ok(())
}

/// Moves what waited into Postgres. A point may be moved twice; it is stored once.
async fn drain(state: &State) -> Result<(), JobError> {
    loop {
        let range = Cmd::on("XRANGE", keys::HISTORY_QUEUE).arg("-").arg("+").arg("COUNT").num(BATCH);
        let entries = state.kv.one(range).await?.list()?;
        if entries.is_empty() {
            return Ok(());
        }
        let mut points = Vec::with_capacity(entries.len());
        let mut delete = Cmd::on("XDEL", keys::HISTORY_QUEUE);
        for entry in entries {
            let (id, point) = read(entry)?;
            delete = delete.arg(id);
            points.extend(point);
        }
        samples::insert(&state.pg, &points).await?;
        state.kv.one(delete).await?;
    }
}

/// The id of an entry, and the point in it if it still reads as one.
fn read(entry: Reply) -> Result<(String, Option<Point>), JobError> {
    let mut parts = entry.list()?.into_iter();
    let id = parts.next().and_then(|id| id.text().map(str::to_owned)).ok_or("an entry without id")?;
    let fields = parts.next().unwrap_or(Reply::Nil).list()?;
    let point = fields.get(1).and_then(Reply::bytes).and_then(|json| serde_json::from_slice(json).ok());
    Ok((id, point))
}
