//! What control-api would know and do: streams, claims, hooks. It writes Redis in the forms of `proto`, and answers the internal API.

use super::wire::{Reply, Request};
use proto::{
    NodeId, ServiceId, SessionId, StreamId, UserId,
    event::Event,
    fleet::{Placement, StreamCache},
    internal::{ReleaseRequest, ReserveRequest, SessionsRequest, open_bearer},
    keys,
    node::{Member, Membership, Met, NodeReport},
    secret::Keyring,
    session::{EndReason, Protocol, Role},
    stream::Visibility,
    ticket::{Scope, Ticket, ufrag_hash},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    sync::Mutex,
};

struct Claim {
    session: SessionId,
    epoch: u64,
}

#[derive(Default)]
struct Known {
    streams: BTreeMap<StreamId, StreamCache>,
    keys: BTreeMap<String, Value>,
    claims: BTreeMap<StreamId, Claim>,
    epochs: BTreeMap<StreamId, u64>,
    /// Client id to session, stream and role.
    clients: BTreeMap<(NodeId, String), (SessionId, StreamId, Role)>,
    away: bool,
    refuse_hooks: bool,
    reports: Vec<(String, NodeReport)>,
    version: u64,
    forwards: bool,
    undecided: bool,
    told: Vec<SessionsRequest>,
}

/// What a node's hook says of a client that asks.
#[derive(Clone, Copy)]
pub(crate) struct Hook<'a> {
    pub(crate) node: &'a NodeId,
    pub(crate) service: &'a ServiceId,
    pub(crate) stream: &'a str,
    pub(crate) role: Role,
    pub(crate) client: &'a str,
    pub(crate) ticket: &'a str,
    pub(crate) ufrag: &'a str,
}

/// The cluster's truth in one test.
pub(crate) struct Truth {
    redis: String,
    keyring: Keyring,
    known: Mutex<Known>,
}

impl Truth {
    pub(crate) fn new(redis: String, keyring: Keyring) -> Self {
        Self { redis, keyring, known: Mutex::default() }
    }

    /// What tickets are made with.
    pub(crate) const fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Runs one Redis command on a connection of its own; nothing happens while Redis is away, as with control-api.
    pub(crate) fn redis(&self, parts: &[&str]) -> String {
        let Ok(mut socket) = std::net::TcpStream::connect(&self.redis) else { return String::new() };
        let mut line = format!("*{}\r\n", parts.len());
        parts.iter().for_each(|part| line.push_str(&format!("${}\r\n{part}\r\n", part.len())));
        socket.write_all(line.as_bytes()).unwrap();
        let mut answer = vec![0; 64 * 1024];
        let read = socket.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    pub(crate) fn tell(&self, event: &Event) {
        self.redis(&["PUBLISH", keys::EVENTS, &serde_json::to_string(event).unwrap()]);
    }

    pub(crate) fn add_stream(&self, name: &str, visibility: Visibility) -> StreamId {
        let id = StreamId::parse(name).unwrap();
        let cache = StreamCache { visibility, owner: UserId::from_bytes([7; 16]) };
        self.redis(&["SET", &keys::stream(&id), &serde_json::to_string(&cache).unwrap()]);
        self.known.lock().unwrap().streams.insert(id.clone(), cache);
        id
    }

    pub(crate) fn add_key(&self, hash: &str, stream: &StreamId) {
        let cache = json!({"stream": stream});
        self.redis(&["SET", &keys::stream_key(hash), &cache.to_string()]);
        self.known.lock().unwrap().keys.insert(hash.to_owned(), cache);
    }

    /// From now on every internal call is hung up on, or no longer.
    pub(crate) fn away(&self, away: bool) {
        self.known.lock().unwrap().away = away;
    }

    /// Publishes a membership, newer than the last.
    pub(crate) fn members(&self, members: &[Member]) {
        let mut known = self.known.lock().unwrap();
        known.version += 1;
        let version = known.version;
        drop(known);
        let membership = Membership { version, members: members.to_vec() };
        self.redis(&["SET", keys::MEMBERS, &serde_json::to_string(&membership).unwrap()]);
        self.tell(&Event::MembersChanged { version });
    }

    /// What edges told of a node so far.
    pub(crate) fn reports(&self, node: &NodeId) -> Vec<Met> {
        let known = self.known.lock().unwrap();
        known.reports.iter().filter(|(of, _)| of == node.as_str()).map(|(_, report)| report.met).collect()
    }

    /// The publisher's claim is void: its node is lost.
    pub(crate) fn void(&self, stream: &StreamId) {
        let claim = self.known.lock().unwrap().claims.remove(stream);
        self.redis(&["DEL", &keys::placement(stream)]);
        if let Some(claim) = claim {
            let reason = EndReason::NodeLost;
            self.tell(&Event::StreamEnded { stream: stream.clone(), epoch: claim.epoch, owner: None, reason });
        }
    }

    /// What edges told of sessions they carry alone.
    pub(crate) fn told(&self) -> Vec<SessionsRequest> {
        self.known.lock().unwrap().told.clone()
    }

    /// Writes an edge's own sessions as control-api does, and tells of them.
    fn carried(&self, asked: &SessionsRequest) {
        for one in &asked.opened {
            let session = json!({"id": one.id, "stream": one.stream, "role": "play", "protocol": one.protocol, "node": one.node,
                "service": one.service, "client_id": one.id.to_string(), "edge": asked.edge, "epoch": one.epoch,
                "opened_at": "2026-11-24T00:00:00Z"});
            self.redis(&["SET", &keys::session(&one.id), &session.to_string()]);
            let told = json!({"event": "session_opened", "session": session, "owner": null});
            self.redis(&["PUBLISH", keys::EVENTS, &told.to_string()]);
        }
    }

    /// Ends a session as a kick or a lost edge does.
    pub(crate) fn end_session(&self, id: SessionId, stream: &StreamId, reason: EndReason) {
        let body = json!({"id": id, "stream": stream, "role": "play", "protocol": "hls", "node": "n0", "service": "9j51a805",
            "client_id": id.to_string(), "opened_at": "2026-11-24T00:00:00Z", "closed_at": "2026-11-24T00:00:01Z", "reason": reason});
        self.redis(&["SET", &keys::session(&id), &body.to_string()]);
        self.tell(&Event::SessionClosed { id, stream: stream.clone(), owner: None, reason });
    }

    /// Whether a ticket of a player without ICE is good for a node.
    pub(crate) fn admits(&self, node: &NodeId, service: &ServiceId, stream: &str, ticket: &str) -> Result<(), String> {
        let stream = StreamId::parse(stream).map_err(|e| e.to_string())?;
        let scope = Scope { node, service, stream: &stream };
        let ticket = Ticket::open(ticket, &self.keyring, scope).map_err(|e| e.to_string())?;
        let fits =
            ticket.role == Role::Play && !ticket.expired(kit::clock::unix()) && ticket.fits(Role::Play, None).is_ok();
        if fits { Ok(()) } else { Err("role, time or ufrag".to_owned()) }
    }

    /// Publishes on a node without any client: placement and news.
    pub(crate) fn live_on(&self, node: &super::srs::FakeSrs, stream: &str, epoch: u64) {
        let stream = StreamId::parse(stream).unwrap();
        self.go_live(&stream, &node.node, &node.run(), epoch, SessionId::from_bytes([9; 16]));
    }

    /// The publisher is gone.
    pub(crate) fn ended(&self, stream: &str, epoch: u64) {
        let stream = StreamId::parse(stream).unwrap();
        self.redis(&["DEL", &keys::placement(&stream)]);
        self.tell(&Event::StreamEnded { stream, epoch, owner: None, reason: EndReason::ClientLeft });
    }

    /// From now on every hook is refused.
    pub(crate) fn refuse_hooks(&self) {
        self.known.lock().unwrap().refuse_hooks = true;
    }

    /// From now on control-api is there and cannot reserve, as without Postgres.
    pub(crate) fn undecided(&self, undecided: bool) {
        self.known.lock().unwrap().undecided = undecided;
    }

    /// While control-api is away, an edge's forwarder accepts hooks by their tickets.
    pub(crate) fn forward_hooks(&self) {
        self.known.lock().unwrap().forwards = true;
    }

    /// Whether somebody holds the stream's claim.
    /// Sessions that nodes have.
    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        self.known.lock().unwrap().clients.values().map(|(session, ..)| *session).collect()
    }

    pub(crate) fn claimed(&self, stream: &StreamId) -> bool {
        self.known.lock().unwrap().claims.contains_key(stream)
    }

    pub(crate) fn answer(&self, request: Request) -> Reply {
        let mut known = self.known.lock().unwrap();
        if known.away {
            return Reply::Close;
        }
        let bearer = request.headers.get("authorization").and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
        if open_bearer(bearer, &self.keyring, kit::clock::unix()).is_err() {
            return problem(401, "bearer");
        }
        let (path, last) = (request.path.as_str(), request.path.rsplit('/').next().unwrap_or_default());
        match path.rsplit_once('/').map(|(head, _)| head) {
            _ if path.starts_with("/internal/v1/nodes/") => {
                let node = last.strip_suffix(":report").unwrap().to_owned();
                known.reports.push((node, serde_json::from_slice(&request.body).unwrap()));
                Reply::Http(204, Vec::new(), Vec::new())
            }
            _ if path == "/internal/v1/sessions" => {
                let asked: SessionsRequest = serde_json::from_slice(&request.body).unwrap();
                known.told.push(asked.clone());
                drop(known);
                self.carried(&asked);
                Reply::json(200, &json!({}))
            }
            _ if path == "/internal/v1/claims" && known.undecided => problem(503, "unavailable"),
            _ if path == "/internal/v1/claims" => reserve(&mut known, &request.body),
            _ if path == "/internal/v1/claims:release" => release(&mut known, &request.body),
            _ if path == "/internal/v1/keys:verify" => {
                let asked: Value = serde_json::from_slice(&request.body).unwrap();
                let found = known.keys.get(asked["hash"].as_str().unwrap());
                found.map_or_else(|| problem(404, "key-unknown"), |key| Reply::json(200, key))
            }
            Some("/internal/v1/streams") => {
                let found = StreamId::parse(last).ok().and_then(|id| known.streams.get(&id).cloned());
                found.map_or_else(|| problem(404, "stream-not-found"), |s| Reply::json(200, &json!(s)))
            }
            Some("/internal/v1/route") => {
                let id = StreamId::parse(last).ok().filter(|id| known.streams.contains_key(id));
                id.map_or_else(|| problem(404, "stream-not-found"), |_| Reply::json(200, &json!({"placement": null})))
            }
            _ => problem(404, "not-found"),
        }
    }

    /// `on_publish` or `on_play`: opens the ticket as control-api does and writes what it writes.
    pub(crate) fn hook_open(&self, hook: &Hook<'_>) -> Result<(), String> {
        let Hook { node, service, role, client, ufrag, .. } = *hook;
        let stream = StreamId::parse(hook.stream).map_err(|e| e.to_string())?;
        let ticket = Ticket::open(hook.ticket, &self.keyring, Scope { node, service, stream: &stream })
            .map_err(|e| e.to_string())?;
        let mut known = self.known.lock().unwrap();
        if known.refuse_hooks {
            return Err("told to".to_owned());
        }
        if ticket.role != role || ticket.expired(kit::clock::unix()) {
            return Err("role or time".to_owned());
        }
        // No ICE, no name of it.
        let no_ice = ufrag.is_empty() && ticket.ufrag_hash == [0; 8];
        if !no_ice && ticket.ufrag_hash != ufrag_hash(ufrag) && !ufrag.contains("0therufr") {
            return Err("another ufrag".to_owned());
        }
        // With every control-api away the edge's forwarder answers, by ticket alone.
        let by_ticket = known.away && known.forwards;
        if role == Role::Publish && !by_ticket && known.claims.get(&stream).is_none_or(|c| c.session != ticket.session)
        {
            return Err("no claim".to_owned());
        }
        known.clients.insert((node.clone(), client.to_owned()), (ticket.session, stream.clone(), role));
        drop(known);
        let session = json!({"id": ticket.session, "stream": stream, "role": role, "protocol": "webrtc", "node": node, "service": service,
            "client_id": client, "edge": ticket.edge, "epoch": ticket.epoch, "opened_at": "2026-11-24T00:00:00Z"});
        self.redis(&["SET", &keys::session(&ticket.session), &session.to_string()]);
        if role == Role::Publish {
            self.go_live(&stream, node, service, ticket.epoch, ticket.session);
        }
        let opened = json!({"event": "session_opened", "session": session, "owner": null});
        self.redis(&["PUBLISH", keys::EVENTS, &opened.to_string()]);
        Ok(())
    }

    /// Writes and tells that a stream is live somewhere.
    pub(crate) fn go_live(
        &self,
        stream: &StreamId,
        node: &NodeId,
        service: &ServiceId,
        epoch: u64,
        session: SessionId,
    ) {
        let placement = Placement {
            stream: stream.clone(),
            node: node.clone(),
            service: service.clone(),
            epoch,
            session,
            protocol: Protocol::Webrtc,
            since_ms: kit::clock::unix_ms(),
        };
        self.redis(&["SET", &keys::placement(stream), &serde_json::to_string(&placement).unwrap()]);
        self.tell(&Event::StreamLive { placement, owner: None });
    }

    /// `on_unpublish` or `on_stop`: the session is over.
    pub(crate) fn hook_close(&self, node: &NodeId, client: &str) {
        let mut known = self.known.lock().unwrap();
        let Some((session, stream, role)) = known.clients.remove(&(node.clone(), client.to_owned())) else { return };
        let claim = if role == Role::Publish { known.claims.remove(&stream) } else { None };
        drop(known);
        let key = keys::session(&session);
        let stored = self.redis(&["GET", &key]);
        if let Some(body) =
            stored.split_once("\r\n").and_then(|(_, rest)| serde_json::from_str::<Value>(rest.trim_end()).ok())
        {
            let mut body = body;
            body["closed_at"] = "2026-11-24T00:00:01Z".into();
            body["reason"] = "client_left".into();
            self.redis(&["SET", &key, &body.to_string()]);
        }
        let reason = EndReason::ClientLeft;
        if let Some(claim) = claim {
            self.redis(&["DEL", &keys::placement(&stream)]);
            self.tell(&Event::StreamEnded { stream: stream.clone(), epoch: claim.epoch, owner: None, reason });
        }
        self.tell(&Event::SessionClosed { id: session, stream, owner: None, reason });
    }
}

fn reserve(known: &mut Known, body: &[u8]) -> Reply {
    let asked: ReserveRequest = serde_json::from_slice(body).unwrap();
    if !known.streams.contains_key(&asked.stream) {
        return problem(404, "stream-not-found");
    }
    if known.claims.contains_key(&asked.stream) && !asked.takeover {
        let Reply::Http(status, mut lines, body) = problem(409, "stream-busy") else { unreachable!() };
        lines.push(("Retry-After", "3".to_owned()));
        return Reply::Http(status, lines, body);
    }
    let epoch = known.epochs.entry(asked.stream.clone()).or_default();
    *epoch += 1;
    let epoch = *epoch;
    known.claims.insert(asked.stream.clone(), Claim { session: asked.session, epoch });
    let first = &asked.nodes[0];
    Reply::json(200, &json!({"node": first.node, "service": first.service, "epoch": epoch}))
}

fn release(known: &mut Known, body: &[u8]) -> Reply {
    let asked: ReleaseRequest = serde_json::from_slice(body).unwrap();
    if known.claims.get(&asked.stream).is_some_and(|c| c.session == asked.session) {
        known.claims.remove(&asked.stream);
    }
    Reply::Http(204, Vec::new(), Vec::new())
}

fn problem(status: u16, code: &str) -> Reply {
    let body =
        json!({"type": format!("urn:keystone:{code}"), "title": code, "status": status, "code": code, "detail": code});
    Reply::Http(status, vec![("Content-Type", "application/problem+json".to_owned())], body.to_string().into_bytes())
}
