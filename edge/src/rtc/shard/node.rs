//! Datagrams from media nodes.

use super::{Shard, Ways};
use crate::rtc::{run::Run, session::Session, socket::Batch};
use proto::wire::stun::{Message, binding_success, is_stun};
use quinn_udp::BATCH_SIZE;
use std::io::ErrorKind;

impl Shard {
    /// Takes one batch from a session's upstream socket. True: there may be more.
    pub(super) fn take_node(&mut self, at: usize) -> bool {
        let Some(session) = self.sessions.get(at).filter(|session| !session.over()).cloned() else { return false };
        let Self { ways, batch, joined, .. } = self;
        let count = match session.upstream.receive(batch) {
            Ok(count) => count,
            Err(error) => {
                // The node's machine says that nobody listens there; the error is told once, before what waits. Whether the node is lost, the cluster
                // finds out.
                tracing::debug!(session.id = %session.id, %error, "a media node's WebRTC port answers with an error");
                return error.kind() == ErrorKind::ConnectionRefused;
            }
        };
        pass(ways, &session, batch, count, joined);
        count == BATCH_SIZE
    }
}

fn pass(ways: &mut Ways, session: &Session, batch: &Batch, count: usize, joined: &mut Vec<u8>) {
    let mut run = Run::new(joined, ways.segments_max());
    for (bytes, meta) in batch.received(count) {
        let size = meta.stride.max(1);
        if bytes.chunks(size).any(is_stun) {
            flush(ways, session, &mut run);
            bytes.chunks(size).for_each(|one| answer(ways, session, one));
        } else if !run.push(bytes, size) {
            flush(ways, session, &mut run);
            run.push(bytes, size);
        }
    }
    flush(ways, session, &mut run);
}

fn flush(ways: &mut Ways, session: &Session, run: &mut Run<'_>) {
    run.take(|bytes, size, count| match session.down(bytes.len()) {
        Some(way) => ways.send(way, bytes, size),
        None => ways.counts.lost += count as u64,
    });
}

/// One datagram that may be the answer to a check.
///
/// SRS tells the client the address it saw, which is this edge's, and only an IPv4 one; the client is told its own, as RFC 8445 wants, and the
/// answer goes to where its check came from, also when media goes elsewhere.
fn answer(ways: &mut Ways, session: &Session, datagram: &[u8]) {
    let success = Message::parse(datagram).ok().filter(Message::is_success);
    let Some(message) = success else {
        if let Some(way) = session.down(datagram.len()) {
            ways.send(way, datagram, datagram.len());
        }
        return;
    };
    let transaction = message.transaction();
    let Some((path, outbox)) = session.answered(&transaction) else {
        ways.counts.lost += 1;
        ways.counts.any = true;
        return;
    };
    let mut own = std::mem::take(&mut ways.answer);
    binding_success(&transaction, path.peer.address(), &session.key, &mut own);
    ways.send((path, outbox), &own, own.len());
    ways.answer = own;
}
