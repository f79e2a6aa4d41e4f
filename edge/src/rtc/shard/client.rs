//! Datagrams from clients.

use super::{Shard, Ways, maps};
use crate::rtc::{
    core::{Check, Drop, Gate, Look, Mono, Path, Peer},
    relay::Shared,
    run::Run,
    session::Session,
    socket::Batch,
    tcp::Outbox,
};
use proto::wire::stun::is_stun;
use quinn_udp::BATCH_SIZE;
use std::{net::SocketAddr, sync::Arc};

impl Shard {
    /// Takes one batch from a public socket. True: there may be more.
    pub(super) fn take_clients(&mut self, now: Mono, at: usize) -> bool {
        let Self { shared, gate, ways, batch, joined, .. } = self;
        let count = match ways.udp.get(at).map_or(Ok(0), |udp| udp.receive(batch)) {
            Ok(count) => count,
            Err(error) => {
                tracing::warn!(%error, "the WebRTC port cannot be read: {error}");
                return false;
            }
        };
        let mut new = Vec::new();
        Turn { now, shared, gate, ways, new: &mut new }.batch(batch, count, joined);
        new.iter().for_each(|session| self.hold(session));
        count == BATCH_SIZE
    }
}

/// Whose datagrams are being joined.
struct Current {
    from: SocketAddr,
    session: Arc<Session>,
}

/// What handling one batch needs.
pub(super) struct Turn<'a> {
    pub(super) now: Mono,
    pub(super) shared: &'a Shared,
    pub(super) gate: &'a mut Gate<Arc<Session>>,
    pub(super) ways: &'a mut Ways,
    /// Sessions that came here first.
    pub(super) new: &'a mut Vec<Arc<Session>>,
}

impl Turn<'_> {
    fn batch(&mut self, batch: &Batch, count: usize, joined: &mut Vec<u8>) {
        let mut run = Run::new(joined, self.ways.segments_max());
        let mut current: Option<Current> = None;
        for (bytes, meta) in batch.received(count) {
            let size = meta.stride.max(1);
            let from = meta.addr;
            if bytes.chunks(size).any(is_stun) {
                self.flush(&mut run, current.as_ref());
                let path = Path { peer: Peer::Udp(from), local: meta.dst_ip };
                bytes.chunks(size).for_each(|one| self.one(path, one));
                // A check may have moved its address to another session.
                current = None;
                continue;
            }
            if current.as_ref().is_none_or(|current| current.from != from) {
                self.flush(&mut run, current.as_ref());
                current = self.known(from, bytes, size);
            }
            let Some(known) = &current else { continue };
            if !run.push(bytes, size) {
                self.flush(&mut run, Some(known));
                run.push(bytes, size);
            }
        }
        self.flush(&mut run, current.as_ref());
    }

    fn flush(&mut self, run: &mut Run<'_>, current: Option<&Current>) {
        run.take(|bytes, size, _| {
            if let Some(Current { from, session }) = current {
                self.ways.up(self.now, session, Peer::Udp(*from), bytes, size);
            }
        });
    }

    /// Whose datagrams these are, if they may pass.
    fn known(&mut self, from: SocketAddr, bytes: &[u8], size: usize) -> Option<Current> {
        let count = bytes.len().div_ceil(size) as u64;
        let why = match self.gate.look(self.now, from, bytes.get(..size.min(bytes.len())).unwrap_or_default()) {
            Look::Pass(session) if !session.over() => return Some(Current { from, session: session.clone() }),
            Look::Pass(_) => Drop::Over,
            Look::Drop(why) => why,
            // It was looked at before: there is no STUN in it.
            Look::Check(_) => Drop::Malformed,
        };
        self.ways.counts.drop(why, count);
        None
    }

    /// A datagram that comes together with STUN, or is.
    fn one(&mut self, path: Path, datagram: &[u8]) {
        let why = match self.gate.look(self.now, path.peer.address(), datagram) {
            Look::Pass(session) if session.over() => Drop::Over,
            Look::Pass(session) => {
                self.ways.up(self.now, session, path.peer, datagram, datagram.len());
                return;
            }
            Look::Check(check) => match self.check(&check, path, datagram, None) {
                Ok(_) => return,
                Err(why) => why,
            },
            Look::Drop(why) => why,
        };
        self.ways.counts.drop(why, 1);
    }

    /// An ICE check: admits it, notes where it came from, and passes it on.
    pub(super) fn check(
        &mut self,
        check: &Check<'_>,
        path: Path,
        datagram: &[u8],
        outbox: Option<&Arc<Outbox>>,
    ) -> Result<Arc<Session>, Drop> {
        let (session, new) = self.shared.admit(self.now, check)?;
        if new {
            self.new.push(session.clone());
        }
        let changed = session.checked(self.now, path, &check.message, outbox);
        if let Peer::Udp(from) = path.peer
            && !maps(self.gate, from, &session)
            && !self.gate.learn(from, session.clone())
        {
            return Err(Drop::Full);
        }
        if let Some(Path { peer: Peer::Udp(old), .. }) = changed.evicted
            && maps(self.gate, old, &session)
        {
            self.gate.forget(old);
        }
        self.ways.counts.moved += u64::from(changed.moved);
        self.ways.up(self.now, &session, path.peer, datagram, datagram.len());
        Ok(session)
    }
}
