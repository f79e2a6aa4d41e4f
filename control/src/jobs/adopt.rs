//! After Redis lost the session table, viewers that a node still serves get sessions again.
//!
//! Under new ids: those their tickets named are gone with Redis. They are counted again then, and can be ended.

use super::JobError;
use crate::{
    app::State,
    hooks::publish::new_session,
    sessions::Known,
    store::pg::claims::{Held, time_of},
};
use kit::clock;
use proto::{
    ClientId,
    session::{Protocol, Role, Session},
    srs::api::Client,
};
use std::collections::{HashMap, HashSet};

/// Clients that came less than this many seconds ago may still wait for their hook, which opens their session itself.
const SETTLED_SECONDS: f64 = 10.0;

/// Opens sessions for viewers of `live` streams that have none. How many.
///
/// # Errors
/// Redis away. A node that does not answer is left out.
pub async fn viewers(state: &State, live: &[Held]) -> Result<usize, JobError> {
    let by_node = live.iter().fold(HashMap::new(), |mut map: HashMap<_, Vec<&Held>>, held| {
        map.entry((&held.from.node, &held.from.service)).or_default().push(held);
        map
    });
    let mut adopted = 0_usize;
    for ((node, service), streams) in by_node {
        let Some(api) = state.nodes.api(node) else { continue };
        let Ok(clients) = state.srs.clients(&api, service).await else { continue };
        let open = state.sessions.of_node(node.clone()).await?;
        let known: HashSet<&str> = open.iter().map(|entry| entry.client.as_str()).collect();
        for client in clients.iter().filter(|client| settled(client) && !known.contains(client.id.as_str())) {
            let held = streams.iter().find(|held| client.url.strip_prefix("/live/") == Some(held.stream.as_str()));
            if let Some(session) = held.and_then(|held| session(held, client)) {
                let owner = held.and_then(|held| held.owner);
                state.sessions.open(Known { session, owner, credential: None }).await?;
                adopted = adopted.saturating_add(1);
            }
        }
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
