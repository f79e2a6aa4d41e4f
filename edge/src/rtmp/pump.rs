//! Carrying a stream: two directions in one task, each a read, a look at chunk heads, and a write of the same bytes.
//!
//! Memory of a session is at most one buffer a direction, and none while it is idle. A receiver that is slow is not read for: the kernel's
//! windows fill, then the sender's. A player that falls behind loses messages up to a key frame ([`Relay::behind`]); one that takes nothing at
//! all for [`super::STALLED_MAX`] is cut.

mod half;

use super::{STALLED_MAX, socket::Socket};
use crate::leases::Traffic;
use half::{Event, Half};
use proto::{
    session::Role,
    wire::rtmp::{
        chunk::{ChunkError, Decoder, Message},
        message::{self, CONTROL_CSID, kind},
        relay::Relay,
        session::Acks,
    },
};
use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep},
};

/// Bytes after which they are counted: counters are shared by all threads.
const COUNT_EVERY: u64 = 4 * 1024 * 1024;

/// Whose doing it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Node,
}

/// What a pump stops for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// That side sent a command: [`Pump::go_on`] after it was dealt with.
    Command(Side, Message),
    /// That side hung up.
    Gone(Side),
    /// That side sent what cannot be followed.
    Broken(Side, ChunkError),
    /// That side has not taken a byte for too long.
    Stalled(Side),
    /// So much has passed that it is time to count it: [`Pump::take_passed`].
    Count,
}

/// One side's part of a pump, as its session left it.
pub(super) struct End {
    pub(super) decoder: Decoder,
    pub(super) acks: Acks,
    /// The chunk size that side was told.
    pub(super) told: u32,
    /// Bytes of it that were read already.
    pub(super) read: Vec<u8>,
}

/// Bytes that passed since they were last taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Passed {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) dropped: u64,
}

/// Both directions.
#[derive(Debug)]
pub(super) struct Pump {
    /// From the client to the node.
    up: Half,
    /// From the node to the client.
    down: Half,
    began: Instant,
    down_first: bool,
    stall: Option<Pin<Box<Sleep>>>,
    /// What had been written when the stall began.
    written: u64,
}

impl Pump {
    pub(super) fn new(role: Role, client: End, node: End) -> Self {
        let up = Relay::new(client.decoder, node.told);
        let down = Relay::new(node.decoder, client.told);
        Self {
            up: Half::new(up, client.acks, client.read, false),
            down: Half::new(down, node.acks, node.read, role == Role::Play),
            began: Instant::now(),
            down_first: false,
            stall: None,
            written: 0,
        }
    }

    /// Says something to a side, between two messages of the other. What finds no room is lost: only a flood of commands gets there.
    pub(super) fn say(&mut self, to: Side, message: Message) {
        let half = match to {
            Side::Client => &mut self.down,
            Side::Node => &mut self.up,
        };
        if !half.say(message) {
            tracing::debug!("an RTMP command found no room and was left out");
        }
    }

    /// Bytes that passed since the last call.
    pub(super) fn take_passed(&mut self) -> Passed {
        Passed {
            received: std::mem::take(&mut self.up.read),
            sent: std::mem::take(&mut self.down.wrote),
            dropped: std::mem::take(&mut self.down.dropped),
        }
    }

    /// What is still to be sent to a side, its last words included, for as far as they can be sent whole.
    pub(super) fn rest(&mut self, to: Side) -> Vec<u8> {
        let now = self.began.elapsed();
        match to {
            Side::Client => self.down.rest(now),
            Side::Node => self.up.rest(now),
        }
    }

    /// The chunk size a side was told, if a message of ours may follow what it was sent.
    pub(super) fn told(&self, to: Side) -> Option<u32> {
        match to {
            Side::Client => self.down.told(),
            Side::Node => self.up.told(),
        }
    }

    /// The client's part, for it to go on with another stream; none if either is in the middle of something.
    pub(super) fn into_client(self) -> Option<End> {
        let told = self.told(Side::Client)?;
        let (decoder, acks, read) = self.up.into_parts()?;
        Some(End { decoder, acks, told, read })
    }

    /// Carries until something is to be decided.
    pub(super) async fn run(&mut self, client: &mut Socket, node: &mut TcpStream, traffic: &Traffic) -> Stop {
        poll_fn(|cx| self.poll(cx, client, node, traffic)).await
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Socket,
        node: &mut TcpStream,
        traffic: &Traffic,
    ) -> Poll<Stop> {
        loop {
            let before = (self.up.read, self.down.wrote);
            // A direction that never waits uses up what a task may do at a time: so they take turns in being first.
            self.down_first = !self.down_first;
            let (mut up, mut down) = (Poll::Pending, Poll::Pending);
            if self.down_first {
                down = self.down.poll(cx, node, client, self.began);
            }
            if down.is_pending() {
                up = self.up.poll(cx, client, node, self.began);
            }
            if !self.down_first && up.is_pending() {
                down = self.down.poll(cx, node, client, self.began);
            }
            traffic.received(self.up.read - before.0);
            traffic.sent(self.down.wrote - before.1);
            if let Poll::Ready(event) = up {
                return Poll::Ready(self.stop(Side::Client, event));
            }
            if let Poll::Ready(event) = down {
                return Poll::Ready(self.stop(Side::Node, event));
            }
            if self.up.read + self.down.wrote >= COUNT_EVERY {
                return Poll::Ready(Stop::Count);
            }
            if !self.acknowledge() {
                return self.poll_stalled(cx);
            }
        }
    }

    fn stop(&self, from: Side, event: Event) -> Stop {
        let other = match from {
            Side::Client => Side::Node,
            Side::Node => Side::Client,
        };
        match event {
            Event::Taken(message) => Stop::Command(from, message),
            Event::Hung => Stop::Gone(from),
            Event::Deaf => Stop::Gone(other),
            Event::Broken(error) => Stop::Broken(from, error),
        }
    }

    /// Acknowledges what is due; whether anything was.
    fn acknowledge(&mut self) -> bool {
        let (to_client, to_node) = (self.up.ack.take(), self.down.ack.take());
        let mut any = false;
        for (number, half) in [(to_client, &mut self.down), (to_node, &mut self.up)] {
            if let Some(number) = number {
                let payload = number.to_be_bytes().to_vec();
                let header = message::header(CONTROL_CSID, kind::ACK, 0, &payload);
                any |= half.say(Message { header, payload });
            }
        }
        any
    }

    /// A timer runs only while somebody is waited for.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        let side = if self.down.blocked {
            Side::Client
        } else if self.up.blocked {
            Side::Node
        } else {
            self.stall = None;
            return Poll::Pending;
        };
        let written = self.up.wrote_in_all + self.down.wrote_in_all;
        let sleep = self.stall.get_or_insert_with(|| {
            self.written = written;
            Box::pin(tokio::time::sleep(STALLED_MAX))
        });
        while sleep.as_mut().poll(cx).is_ready() {
            if written == self.written {
                return Poll::Ready(Stop::Stalled(side));
            }
            self.written = written;
            sleep.as_mut().reset(Instant::now() + STALLED_MAX);
        }
        Poll::Pending
    }
}
