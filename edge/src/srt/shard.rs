//! One thread's share: a socket on the port, the callers that the kernel brings there, and the loop that receives for all of them.

use super::{
    batch::{Room, Socket, Train},
    caller::{Caller, Side},
    conn, refusal,
    seats::{Budget, Seats},
};
use crate::{
    front::Front,
    metrics::srt::{Shaken, SrtMetrics},
    replica::Secrets,
};
use proto::wire::srt::{
    Handshake, Packet, StreamRequest,
    listener::{CookieKeys, Unwanted, Verdict, look},
    reject, rejection,
    session::{Mono, Output, Session},
};
use std::{
    cell::RefCell,
    collections::HashMap,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
};
use tokio::{runtime::Handle, task::LocalSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// Calls to the kernel before the thread's other tasks get their turn.
const ROUNDS: usize = 4;
/// The oldest handshake that carries a stream id.
const VERSION_MIN: u32 = 5;

/// One thread's share.
pub(super) struct Shard {
    pub(super) front: Front,
    /// Where admission runs: what it opens lives longer than this thread.
    pub(super) main: Handle,
    pub(super) socket: Socket,
    pub(super) metrics: SrtMetrics,
    pub(super) stop: CancellationToken,
    /// Room for what nodes send.
    pub(super) room: RefCell<Room>,
    /// Used by one step at a time, kept for its memory.
    pub(super) outputs: RefCell<Vec<Output>>,
    started: Instant,
    seats: Seats,
    /// By address and by either socket id a datagram of theirs may name.
    callers: RefCell<HashMap<(SocketAddr, u32), Rc<Caller>>>,
    budget: RefCell<Budget>,
    keys: RefCell<Option<(Arc<Secrets>, Rc<CookieKeys>)>>,
}

impl Shard {
    pub(super) fn new(front: Front, main: Handle, socket: Socket, seats: Seats, stop: CancellationToken) -> Self {
        Self {
            metrics: front.metrics().srt().clone(),
            front,
            main,
            socket,
            stop,
            room: RefCell::new(Room::new()),
            outputs: RefCell::default(),
            started: Instant::now(),
            seats,
            callers: RefCell::default(),
            budget: RefCell::new(Budget::new()),
            keys: RefCell::default(),
        }
    }

    pub(super) fn now(&self) -> Mono {
        self.started.elapsed()
    }

    pub(super) fn instant(&self, at: Mono) -> Instant {
        self.started + at
    }

    /// Receives until told to stop; returns when the callers' tasks have ended too.
    pub(super) async fn run(self: Rc<Self>) {
        let tasks = LocalSet::new();
        let receive = self.clone();
        tasks.run_until(async move { receive.receive().await }).await;
        tasks.await;
    }

    async fn receive(self: Rc<Self>) {
        let mut room = Room::new();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                ready = self.socket.readable() => {
                    if let Err(error) = ready {
                        tracing::error!(%error, "the SRT socket failed: this thread takes no more callers");
                        return;
                    }
                }
            }
            for _ in 0..ROUNDS {
                match self.socket.recv(&mut room) {
                    Ok(count) => room.trains(count).for_each(|train| self.arrive(train)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // Somebody could not be reached earlier: the kernel tells, and nothing is to be done.
                    Err(_) => {}
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Gives a train to its callers: usually all of it to one.
    fn arrive(self: &Rc<Self>, train: Train<'_>) {
        let mut rest = train.bytes;
        while let Some(first) = rest.get(..train.stride.min(rest.len())).filter(|first| !first.is_empty()) {
            let named = named(first);
            let caller = named.and_then(|id| self.callers.borrow().get(&(train.from, id)).cloned());
            let Some(caller) = caller else {
                self.stranger(train, first);
                rest = rest.get(first.len()..).unwrap_or_default();
                continue;
            };
            let same = rest.chunks(train.stride).take_while(|datagram| self::named(datagram) == named);
            let length = same.map(<[u8]>::len).sum::<usize>();
            let (own, others) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            caller.pass(self, Side::Caller, Train { bytes: own, ..train });
            rest = others;
        }
    }

    /// A datagram of nobody who is known here. Nothing is remembered before a cookie came back.
    fn stranger(self: &Rc<Self>, train: Train<'_>, datagram: &[u8]) {
        if !Packet::read(datagram).is_ok_and(Packet::is_handshake) {
            let what = if datagram.len() < proto::wire::srt::HEADER_BYTES {
                Unwanted::Garbage
            } else {
                Unwanted::NoConnection
            };
            return self.metrics.shaken(Shaken::Unwanted(what));
        }
        if !self.budget.borrow_mut().spend(train.from.ip(), self.now()) {
            return self.metrics.shaken(Shaken::Budget);
        }
        let Some(keys) = self.keys() else { return self.metrics.shaken(Shaken::NoSecret) };
        match look(&keys, train.from, kit::clock::unix(), datagram) {
            Verdict::Reply(reply) => {
                self.reply(train, &reply);
                self.metrics.shaken(Shaken::Induction);
            }
            Verdict::Caller(conclusion) => self.caller(train, datagram, &conclusion),
            Verdict::Drop(why) => self.metrics.shaken(Shaken::Unwanted(why)),
        }
    }

    /// A caller that receives at its address asks for a stream.
    fn caller(self: &Rc<Self>, train: Train<'_>, datagram: &[u8], conclusion: &Handshake<'_>) {
        let (request, encrypted) = match asked(conclusion) {
            Ok(asked) => asked,
            Err(reason) => {
                self.metrics.shaken(Shaken::Refused);
                return self.reply(train, &rejection(conclusion, reason));
            }
        };
        let Some(seat) = self.seats.take(train.from.ip()) else {
            self.metrics.shaken(Shaken::NoRoom);
            return self.reply(train, &rejection(conclusion, reject::NO_ROOM));
        };
        let Ok(session) = Session::new(self.now(), datagram) else { return };
        let caller = Rc::new(Caller::new(train.from, train.local, session));
        self.callers.borrow_mut().insert((train.from, conclusion.socket), caller.clone());
        let shard = self.clone();
        tokio::task::spawn_local(async move {
            shard.metrics.seated();
            conn::run(&shard, &caller, request, encrypted).await;
            shard.forget(&caller);
            shard.metrics.left();
            drop(seat);
        });
    }

    /// The caller's datagrams name the node's socket from now on. False if another caller at its address has one of that id: ids are drawn from
    /// 2³², so that is no accident to plan for, and the later one gives way.
    pub(super) fn also_known(&self, caller: &Rc<Caller>, server: u32) -> bool {
        let mut callers = self.callers.borrow_mut();
        let entry = callers.entry((caller.from, server)).or_insert_with(|| caller.clone());
        let ours = Rc::ptr_eq(entry, caller);
        if ours {
            caller.server.set(Some(server));
        }
        ours
    }

    fn forget(&self, caller: &Caller) {
        let mut callers = self.callers.borrow_mut();
        callers.remove(&(caller.from, caller.socket()));
        if let Some(server) = caller.server.get() {
            callers.remove(&(caller.from, server));
        }
    }

    fn reply(&self, train: Train<'_>, bytes: &[u8]) {
        let sent = self.socket.send(train.from, train.local, bytes, bytes.len());
        self.metrics.to_caller().passed(1, sent.lost);
    }

    /// The keys of cookies; derived anew when the cluster's secret is another one.
    fn keys(&self) -> Option<Rc<CookieKeys>> {
        let secrets = self.front.secrets()?;
        let mut known = self.keys.borrow_mut();
        if let Some((of, keys)) = &*known
            && Arc::ptr_eq(of, &secrets)
        {
            return Some(keys.clone());
        }
        let keys = Rc::new(CookieKeys::new(&secrets.keyring));
        *known = Some((secrets, keys.clone()));
        Some(keys)
    }

    /// Where a client is, as admission sees it.
    pub(super) fn client(from: SocketAddr) -> IpAddr {
        from.ip().to_canonical()
    }
}

/// The socket id a caller's datagram is told apart by: the node's, or in a handshake the caller's own.
fn named(datagram: &[u8]) -> Option<u32> {
    let packet = Packet::read(datagram).ok()?;
    match packet.destination() {
        0 if packet.is_handshake() => Handshake::read(datagram).ok().map(|handshake| handshake.socket),
        destination => Some(destination),
    }
}

/// What a conclusion asks for and whether it is encrypted, or the reason why that is nothing.
fn asked(conclusion: &Handshake<'_>) -> Result<(StreamRequest, bool), u32> {
    if conclusion.version < VERSION_MIN {
        return Err(reject::VERSION);
    }
    let text = conclusion.stream_id().map_err(|_| reject::BAD_REQUEST)?.unwrap_or_default();
    let request = StreamRequest::parse(&text).map_err(|error| {
        tracing::debug!(%error, "an SRT stream id cannot be served: {error}");
        refusal::of_stream_id(error)
    })?;
    Ok((request, conclusion.encrypted().map_err(|_| reject::BAD_REQUEST)?))
}
