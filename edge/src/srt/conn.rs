//! One caller's task: admission, the way to the node, what the node sends, the end. It begins with the conclusion and ends when the machine is done.

use super::{
    batch::Socket,
    caller::{Caller, Side, Upstream},
    refusal::reason,
    shard::Shard,
};
use crate::{
    error::ApiError,
    front::{Grant, GrantRequest},
    metrics::srt::Shaken,
    srs::SrsError,
};
use proto::{
    node::SrtPort,
    session::{Protocol, Role},
    wire::srt::{
        StreamRequest, canonical, reject,
        session::{Input, Output},
    },
};
use std::{
    future::pending,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    rc::Rc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How long a node's name may take to become an address.
const RESOLVE_WITHIN: Duration = Duration::from_millis(500);
/// Calls to the kernel before the thread's other tasks get their turn.
const ROUNDS: usize = 4;
/// SRT's own reasons of a node that are the caller's doing: a wrong passphrase, and one too many or too few.
const OF_PASSPHRASES: [u32; 2] = [10, reject::UNSECURE];

/// Serves one caller to its end.
pub(super) async fn run(shard: &Rc<Shard>, caller: &Rc<Caller>, request: StreamRequest, encrypted: bool) {
    let wanted = GrantRequest {
        role: request.role,
        protocol: Protocol::Srt,
        stream: request.stream,
        credential: request.credential,
        client: Shard::client(caller.from),
        takeover: request.takeover,
    };
    let port = if encrypted { SrtPort::Encrypted } else { SrtPort::Plain };
    let mut conn = Conn { shard, caller, port, grant: None, ended: None, stopping: false };
    if shard.front.has_srt_port(port) {
        let front = shard.front.clone();
        let granted = shard.main.spawn(async move { front.grant_srt(wanted, port).await }).await;
        conn.decided(granted.unwrap_or(Err(ApiError::Internal))).await;
    } else {
        // Where there are nodes for the other kind, a passphrase is what the caller got wrong.
        let other = if encrypted { SrtPort::Plain } else { SrtPort::Encrypted };
        conn.refuse(if shard.front.has_srt_port(other) { reject::UNSECURE } else { reject::DOWN });
    }
    conn.serve().await;
    conn.give_back();
}

struct Conn<'a> {
    shard: &'a Rc<Shard>,
    caller: &'a Rc<Caller>,
    /// The kind of port it needs at its node.
    port: SrtPort,
    /// Held until the node has accepted.
    grant: Option<Grant>,
    /// Cancelled when the session is over by news.
    ended: Option<CancellationToken>,
    stopping: bool,
}

/// What woke the task.
enum Woken {
    Stop,
    Ended,
    Events,
    Time,
    Node(Rc<Upstream>),
}

impl Conn<'_> {
    async fn serve(&mut self) {
        let timer = tokio::time::sleep_until(self.shard.instant(self.caller.next_at()));
        let mut timer = pin!(timer);
        loop {
            for event in self.caller.take_events() {
                if self.event(event).await {
                    return;
                }
            }
            if self.stopping {
                return;
            }
            if self.caller.node_is_gone() {
                self.step(Input::NodeGone);
                continue;
            }
            // The machine's time moves on with each datagram; the timer follows when it fires, unless it must be earlier.
            let next = self.shard.instant(self.caller.next_at());
            if next < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(next);
            }
            let upstream = self.caller.upstream();
            let woken = tokio::select! {
                biased;
                () = self.shard.stop.cancelled() => Woken::Stop,
                () = cancelled(self.ended.as_ref()) => Woken::Ended,
                () = self.caller.woken() => Woken::Events,
                () = &mut timer => Woken::Time,
                upstream = readable(upstream) => Woken::Node(upstream),
            };
            match woken {
                Woken::Stop => {
                    self.stopping = true;
                    self.step(Input::End);
                }
                Woken::Ended => {
                    self.ended = None;
                    self.step(Input::End);
                }
                Woken::Events => {}
                Woken::Time if self.caller.next_at() <= self.shard.now() => self.step(Input::Tick),
                Woken::Time => {}
                Woken::Node(upstream) => self.pump(&upstream),
            }
        }
    }

    fn step(&self, input: Input<'_>) {
        self.caller.step(self.shard, input);
    }

    /// Passes on what the node has sent.
    fn pump(&self, upstream: &Upstream) {
        let mut room = self.shard.room.borrow_mut();
        for _ in 0..ROUNDS {
            match upstream.socket.recv(&mut room) {
                Ok(count) => {
                    for train in room.trains(count) {
                        self.caller.pass(self.shard, Side::Node, train);
                    }
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => return self.step(Input::NodeGone),
                Err(_) => return,
            }
        }
    }

    /// Acts on what the machine told; true when it is done.
    async fn event(&mut self, event: Output) -> bool {
        match event {
            Output::Opened => self.opened().await,
            Output::NodeRefused(why) if OF_PASSPHRASES.contains(&why) => {
                self.give_back();
                self.refuse(why);
            }
            Output::NodeRefused(why) => {
                tracing::warn!(reason = why, "a media node refused an SRT handshake");
                self.again(SrsError::Refused).await;
            }
            Output::NodeSilent => self.again(SrsError::Unreachable).await,
            Output::NodeGone => self.again(SrsError::NotListening).await,
            Output::Ended(why) => {
                self.give_back();
                if self.lease_over() {
                    self.shard.metrics.ended(why);
                }
                self.caller.set_upstream(None);
            }
            Output::Done => return true,
            Output::Forward | Output::ToCaller(_) | Output::ToNode(_) => {}
        }
        false
    }

    /// Admission and placement have come to something.
    async fn decided(&mut self, granted: Result<Grant, ApiError>) {
        let grant = match granted {
            Ok(grant) => grant,
            Err(error) => return self.refuse_for(&error),
        };
        match self.prepare(&grant).await {
            Ok(upstream) => {
                let stream_id = canonical(grant.stream(), grant.wanted().role, &grant.ticket());
                self.caller.set_upstream(Some(upstream));
                self.grant = Some(grant);
                self.step(Input::Dial(&stream_id));
            }
            Err(why) => {
                self.grant = Some(grant);
                self.give_back();
                self.refuse(why);
            }
        }
    }

    /// A socket towards the node, or the reason why there is none.
    async fn prepare(&self, grant: &Grant) -> Result<Upstream, u32> {
        if grant.wanted().role == Role::Play && grant.placement().protocol != Protocol::Srt {
            return Err(reject::NOT_SUPPORTED_MEDIA);
        }
        let node = grant.node();
        let Some(endpoint) = node.at.srt.as_deref() else {
            tracing::warn!(node = %node.id, "a media node has no SRT address");
            return Err(reject::DOWN);
        };
        if node.at.srt_port() != Some(self.port) {
            return Err(reject::UNSECURE);
        }
        let made = match resolve(endpoint).await {
            Ok(address) => upstream(address),
            Err(error) => Err(error),
        };
        made.map_err(|error| {
            tracing::error!(node = %node.id, %error, "no SRT socket towards a media node: {error}");
            reject::INTERNAL
        })
    }

    /// The node did not accept: the next one may.
    async fn again(&mut self, error: SrsError) {
        self.caller.set_upstream(None);
        let Some(grant) = self.grant.take() else { return };
        self.shard.metrics.shaken(Shaken::Again);
        let next = self.shard.main.spawn(async move { grant.failed(error).await }).await;
        self.decided(next.unwrap_or(Err(ApiError::Internal))).await;
    }

    /// The node accepted.
    async fn opened(&mut self) {
        // Over again already: its end, which is the next event, gives the grant back.
        let Some(server) = self.caller.server_socket() else { return };
        if !self.shard.also_known(self.caller, server) {
            return self.step(Input::End);
        }
        let Some(grant) = self.grant.take() else { return };
        let Ok(lease) = self.shard.main.spawn(async move { grant.opened().await }).await else {
            return self.step(Input::End);
        };
        self.shard.metrics.shaken(Shaken::Opened);
        self.ended = Some(lease.token());
        self.caller.hold(lease);
        self.step(Input::Accept);
    }

    fn refuse_for(&self, error: &ApiError) {
        tracing::info!(code = error.row().code, "an SRT caller is refused: {error}");
        self.refuse(reason(error));
    }

    fn refuse(&self, why: u32) {
        self.shard.metrics.shaken(Shaken::Refused);
        self.caller.set_upstream(None);
        self.step(Input::Refuse(why));
    }

    /// What the grant holds is given back by the runtime that admission runs on.
    fn give_back(&mut self) {
        let _main = self.shard.main.enter();
        self.grant = None;
    }

    /// True if there was one.
    fn lease_over(&mut self) -> bool {
        let _main = self.shard.main.enter();
        self.ended = None;
        self.caller.take_lease().is_some()
    }
}

async fn cancelled(token: Option<&CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => pending().await,
    }
}

async fn readable(upstream: Option<Rc<Upstream>>) -> Rc<Upstream> {
    match upstream {
        // A socket that failed says so when it is read.
        Some(upstream) => match upstream.socket.readable().await {
            Ok(()) | Err(_) => upstream,
        },
        None => pending().await,
    }
}

async fn resolve(endpoint: &str) -> io::Result<SocketAddr> {
    if let Ok(address) = endpoint.parse() {
        return Ok(address);
    }
    let mut found = tokio::time::timeout(RESOLVE_WITHIN, tokio::net::lookup_host(endpoint)).await??;
    found.next().ok_or_else(|| ErrorKind::NotFound.into())
}

fn upstream(node: SocketAddr) -> io::Result<Upstream> {
    let any: SocketAddr =
        if node.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.connect(node)?;
    Ok(Upstream { socket: Socket::new(socket)?, node })
}
