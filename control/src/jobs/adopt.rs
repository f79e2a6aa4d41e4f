//! Viewers that a node serves and no control node knows get sessions again: those that knew them died before they could tell, or all of them did.
//!
//! Under new ids: those their tickets named are gone. They are counted again then, and can be ended.

use super::JobError;
use crate::{
    app::State,
    hooks::publish::new_session,
    sessions::{Known, OnNode},
    store::pg::claims::{Held, time_of},
};
use kit::clock;
use proto::{
    ClientId,
    fleet::NodeInfo,
    session::{Protocol, Role, Session},
    srs::api::Client,
};
use std::collections::{HashMap, HashSet};

/// Clients that came less than this many seconds ago may still wait for their hook, which opens their session itself.
const SETTLED_SECONDS: f64 = 10.0;

/// Opens sessions for viewers of `live` streams that have none. How many.
///
/// # Errors
/// None today; a table that cannot be written would be one.
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
        let Some(held) = client.url.strip_prefix("/live/").and_then(|name| streams.get(name)) else { continue };
        let Some(session) = session(held, client) else { continue };
        state.sessions.open(Known { session, owner: held.owner, credential: None }).await?;
        adopted = adopted.saturating_add(1);
    }
    if adopted > 0 {
        tracing::info!(node = %info.id, adopted, "viewers that no control node knew have sessions again");
    }
    Ok(adopted)
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

fn session(held: &Held, client: &Client) -> Option<Session> {
    Some(Session {
        id: new_session(),
        stream: held.stream.clone(),
        role: Role::Play,
        protocol: protocol(&client.kind)?,
        node: held.from.node.clone(),
        service: held.from.service.clone(),
        client_id: ClientId::parse(&client.id).ok()?,
        edge: None,
        ip: client.ip.parse().ok(),
        epoch: held.epoch,
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
