//! Viewers that a node serves and no control node knows get sessions again: those that knew them died before they could tell, or all of them did.
//!
//! Under new ids: those their tickets named are gone. They are counted again then, and can be ended.

use super::JobError;
use crate::{
    app::State,
    hooks::publish::new_session,
    sessions::{Known, OnNode},
    store::pg::claims::{self, Held, time_of},
};
use kit::clock;
use proto::{
    ClientId, StreamId, UserId,
    fleet::NodeInfo,
    session::{Protocol, Role, Session},
    srs::api::Client,
};
use std::collections::{HashMap, HashSet};

/// Clients that came less than this many seconds ago may still wait for their hook, which opens their session itself.
const SETTLED_SECONDS: f64 = 10.0;

/// Opens sessions for viewers that have none, of `live` streams and of those that nobody publishes any more, which wait for the next publisher. How many.
///
/// # Errors
/// Postgres is away.
pub async fn viewers(
    state: &State,
    info: &NodeInfo,
    live: &[Held],
    sessions: &[OnNode],
    clients: &[Client],
) -> Result<usize, JobError> {
    let known: HashSet<&str> = sessions.iter().map(|entry| entry.client.as_str()).collect();
    let streams: HashMap<&str, &Held> = live
        .iter()
        .filter(|held| held.from.node == info.id && held.from.service == info.service)
        .map(|held| (held.stream.as_str(), held))
        .collect();
    let mut adopted = 0_usize;
    for client in clients.iter().filter(|client| settled(client) && !known.contains(client.id.as_str())) {
        let Some(name) = client.url.strip_prefix("/live/") else { continue };
        let place = match streams.get(name) {
            Some(held) => Place { stream: held.stream.clone(), owner: held.owner, epoch: held.epoch },
            None => match unpublished(state, name).await? {
                Some(place) => place,
                None => continue,
            },
        };
        let owner = place.owner;
        let Some(session) = session(info, place, client) else { continue };
        state.sessions.open(Known { session, owner, credential: None }).await?;
        adopted = adopted.saturating_add(1);
    }
    if adopted > 0 {
        tracing::info!(node = %info.id, adopted, "viewers that no control node knew have sessions again");
    }
    Ok(adopted)
}

/// What a viewer watches.
struct Place {
    stream: StreamId,
    owner: Option<UserId>,
    /// 0 where nobody publishes.
    epoch: u64,
}

/// A stream that is there and that nobody publishes; `None` also for one that is live on another node, whose viewers here have to come anew.
async fn unpublished(state: &State, name: &str) -> Result<Option<Place>, JobError> {
    let Ok(stream) = StreamId::parse(name) else { return Ok(None) };
    let present = claims::of_stream(&state.pg, &stream).await?;
    Ok(present.filter(|present| present.live.is_none()).map(|present| Place {
        stream,
        owner: Some(present.owner),
        epoch: 0,
    }))
}

fn settled(client: &Client) -> bool {
    !client.publish && client.alive >= SETTLED_SECONDS
}

fn protocol(kind: &str) -> Option<Protocol> {
    Some(match kind {
        "rtc-play" => Protocol::Webrtc,
        "rtmp-play" => Protocol::Rtmp,
        "srt-play" => Protocol::Srt,
        "hls-play" => Protocol::Hls,
        "flv-play" => Protocol::HttpFlv,
        _ => return None,
    })
}

fn session(info: &NodeInfo, place: Place, client: &Client) -> Option<Session> {
    Some(Session {
        id: new_session(),
        stream: place.stream,
        role: Role::Play,
        protocol: protocol(&client.kind)?,
        node: info.id.clone(),
        service: info.service.clone(),
        client_id: ClientId::parse(&client.id).ok()?,
        edge: None,
        ip: client.ip.parse().ok(),
        epoch: place.epoch,
        broadcast: None,
        opened_at: time_of(clock::unix_ms()),
        closed_at: None,
        reason: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_player_that_was_captured_has_a_protocol() {
        for kind in ["rtc-play", "rtmp-play", "srt-play", "hls-play", "flv-play"] {
            assert!(protocol(kind).is_some());
        }
        assert_eq!(protocol("fmle-publish"), None);
    }
}
