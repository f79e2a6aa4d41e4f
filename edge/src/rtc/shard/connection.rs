//! ICE over TCP: connections that clients opened.

use super::{Shard, Source, client::Turn};
use crate::rtc::{
    core::{Drop, Look, Mono, Path, Peer, judge},
    framing::FrameReader,
    tcp::{CONNECTIONS_MAX, Connection, Outbox, PROVE_WITHIN, UNPROVED_MAX},
};
use mio::Interest;
use proto::wire::stun::{Message, is_stun};
use std::{
    io::{self, Read as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Connections accepted, and reads of one connection, in one turn.
const ACCEPTED_AT_ONCE: usize = 64;
const READS_AT_ONCE: usize = 8;

/// Numbers of connections, over all shards: a path that names one must never mean another.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Why a connection is closed; nobody but its client cares.
struct Close;

impl Shard {
    /// Accepts what waits. True: there may be more.
    pub(super) fn accept(&mut self, now: Mono, at: usize) -> bool {
        for _ in 0..ACCEPTED_AT_ONCE {
            let Some(listener) = self.listeners.get(at) else { return false };
            let (stream, peer) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    // The client was gone again, or the process has no more files: then the next sweep's closings make room.
                    tracing::debug!(%error, "a connection could not be accepted");
                    return false;
                }
            };
            let room = self.connections.len() < CONNECTIONS_MAX;
            if !room || !self.gate.take(now, peer) {
                self.ways.counts.drop(if room { Drop::Budget } else { Drop::Full }, 1);
                continue;
            }
            // Whoever means it proves himself at once, so the oldest that did not makes room.
            while self.unproved_count >= UNPROVED_MAX && self.close_oldest_unproved() {}
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection was gone again");
                continue;
            }
            let connection = Connection {
                number: NEXT.fetch_add(1, Ordering::Relaxed),
                peer,
                reader: FrameReader::default(),
                outbox: Arc::new(Outbox::new(stream)),
                session: None,
                until: now + PROVE_WITHIN,
            };
            self.watch(connection);
        }
        true
    }

    fn watch(&mut self, connection: Connection) {
        let (outbox, number) = (connection.outbox.clone(), connection.number);
        let at = self.connections.put(connection);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Source::Connection(at).token();
        self.unproved.push_back((at, number));
        self.unproved_count += 1;
        self.shared.metrics().connected();
        if let Err(error) = outbox.with(|out| self.poll.registry().register(&mut out.stream, token, interest)) {
            tracing::warn!(%error, "a connection cannot be watched; it is closed");
            self.close_connection(at);
        }
    }

    /// Goes on with a connection that can be read or written. True: there may be more.
    pub(super) fn take_connection(&mut self, now: Mono, at: usize) -> bool {
        let Some(outbox) = self.connections.get(at).map(|connection| connection.outbox.clone()) else { return false };
        if outbox.flush().is_err() {
            self.close_connection(at);
            return false;
        }
        for _ in 0..READS_AT_ONCE {
            let Some(connection) = self.connections.get_mut(at) else { return false };
            let space = connection.reader.space();
            match outbox.with(|out| out.stream.read(space)) {
                Ok(0) => {
                    self.close_connection(at);
                    return false;
                }
                Ok(count) => connection.reader.filled(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    self.close_connection(at);
                    return false;
                }
            }
            if self.frames(now, at).is_err() {
                self.close_connection(at);
                return false;
            }
        }
        true
    }

    fn frames(&mut self, now: Mono, at: usize) -> Result<(), Close> {
        let Some(mut connection) = self.connections.get_mut(at).map(Lent::of) else { return Ok(()) };
        let mut new = Vec::new();
        let mut turn = Turn { now, shared: &self.shared, gate: &mut self.gate, ways: &mut self.ways, new: &mut new };
        let was = connection.session.is_some();
        let result = connection.frames(&mut turn);
        let proved = !was && connection.session.is_some();
        if let Some(place) = self.connections.get_mut(at) {
            connection.give_back(place);
        }
        if proved {
            self.unproved_count = self.unproved_count.saturating_sub(1);
        }
        new.iter().for_each(|session| self.hold(session));
        result
    }

    fn close_oldest_unproved(&mut self) -> bool {
        let Some((at, number)) = self.unproved.pop_front() else { return false };
        if self.is_unproved(at, number) {
            self.ways.counts.drop(Drop::Full, 1);
            self.close_connection(at);
        }
        true
    }

    fn is_unproved(&self, at: usize, number: u64) -> bool {
        self.connections.get(at).is_some_and(|connection| connection.number == number && connection.session.is_none())
    }

    fn close_connection(&mut self, at: usize) {
        let Some(connection) = self.connections.take(at) else { return };
        let deregistered = connection.outbox.with(|out| {
            drop(out.stream.shutdown(std::net::Shutdown::Both));
            self.poll.registry().deregister(&mut out.stream)
        });
        if let Err(error) = deregistered {
            tracing::debug!(%error, "a connection was not watched");
        }
        match connection.session {
            Some(session) => session.lost(Peer::Tcp(connection.number, connection.peer)),
            None => self.unproved_count = self.unproved_count.saturating_sub(1),
        }
        self.shared.metrics().disconnected();
    }

    /// Closes those that did not prove themselves in time, and those whose session is over.
    pub(super) fn sweep_connections(&mut self, now: Mono) {
        while let Some((at, number)) = self.unproved.front().copied()
            && !self.is_unproved(at, number)
        {
            self.unproved.pop_front();
        }
        let due = self.connections.iter().filter(|(_, connection)| match &connection.session {
            Some(session) => session.over(),
            None => now >= connection.until,
        });
        let due: Vec<usize> = due.map(|(at, _)| at).collect();
        due.into_iter().for_each(|at| self.close_connection(at));
    }
}

/// A connection's reader and session, while its frames are looked at.
struct Lent {
    path: Path,
    reader: FrameReader,
    outbox: Arc<Outbox>,
    session: Option<Arc<crate::rtc::session::Session>>,
}

impl Lent {
    fn of(connection: &mut Connection) -> Self {
        Self {
            path: Path { peer: Peer::Tcp(connection.number, connection.peer), local: None },
            reader: std::mem::take(&mut connection.reader),
            outbox: connection.outbox.clone(),
            session: connection.session.clone(),
        }
    }

    fn give_back(self, connection: &mut Connection) {
        (connection.reader, connection.session) = (self.reader, self.session);
    }

    fn frames(&mut self, turn: &mut Turn<'_>) -> Result<(), Close> {
        loop {
            let Some(frame) = self.reader.frame().map_err(|_| Close)? else { return Ok(()) };
            let message = is_stun(frame).then(|| Message::parse(frame));
            let why = match (message, &self.session) {
                (Some(Ok(message)), known) if message.is_check() => match judge::<()>(message) {
                    Look::Check(check) => match turn.check(&check, self.path, frame, Some(&self.outbox)) {
                        // A connection is one session's for good.
                        Ok(session) if known.as_ref().is_some_and(|known| !Arc::ptr_eq(known, &session)) => {
                            return Err(Close);
                        }
                        Ok(session) => {
                            self.session = Some(session);
                            continue;
                        }
                        Err(why) => why,
                    },
                    Look::Drop(why) => why,
                    Look::Pass(()) => Drop::Stranger,
                },
                (Some(Err(_)), _) => Drop::Malformed,
                (_, Some(session)) if session.over() => Drop::Over,
                (_, Some(session)) => {
                    turn.ways.up(turn.now, session, self.path.peer, frame, frame.len());
                    continue;
                }
                (_, None) => Drop::Stranger,
            };
            turn.ways.counts.drop(why, 1);
            if self.session.is_none() {
                return Err(Close);
            }
        }
    }
}
