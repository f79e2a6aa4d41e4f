//! One caller: its machine, and the two ways its datagrams go. Owned by one thread; its loop and the caller's task both step the machine.

use super::{
    batch::{Socket, Train},
    shard::Shard,
};
use crate::front::Lease;
use proto::wire::srt::session::{Input, Output, Session};
use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, SocketAddr},
    rc::Rc,
};
use tokio::sync::Notify;

/// Which side datagrams come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Caller,
    Node,
}

impl Side {
    const fn input(self, datagram: &[u8]) -> Input<'_> {
        match self {
            Self::Caller => Input::Caller(datagram),
            Self::Node => Input::Node(datagram),
        }
    }
}

/// A socket that only a node sends to.
pub(super) struct Upstream {
    pub(super) socket: Socket,
    pub(super) node: SocketAddr,
}

/// One caller.
pub(super) struct Caller {
    pub(super) from: SocketAddr,
    /// The address of ours it calls, which it must be answered from.
    local: Option<IpAddr>,
    session: RefCell<Session>,
    upstream: RefCell<Option<Rc<Upstream>>>,
    lease: RefCell<Option<Lease>>,
    /// What the caller's task has to act on.
    events: RefCell<Vec<Output>>,
    wake: Notify,
    gone: Cell<bool>,
    /// The node's socket id under which the caller is known besides its own.
    pub(super) server: Cell<Option<u32>>,
}

impl Caller {
    pub(super) fn new(from: SocketAddr, local: Option<IpAddr>, session: Session) -> Self {
        Self {
            from,
            local,
            session: RefCell::new(session),
            upstream: RefCell::default(),
            lease: RefCell::default(),
            events: RefCell::default(),
            wake: Notify::new(),
            gone: Cell::new(false),
            server: Cell::new(None),
        }
    }

    /// The caller's socket id.
    pub(super) fn socket(&self) -> u32 {
        self.session.borrow().socket()
    }

    pub(super) fn next_at(&self) -> proto::wire::srt::session::Mono {
        self.session.borrow().next_at()
    }

    pub(super) fn server_socket(&self) -> Option<u32> {
        self.session.borrow().server()
    }

    pub(super) fn upstream(&self) -> Option<Rc<Upstream>> {
        self.upstream.borrow().clone()
    }

    pub(super) fn set_upstream(&self, upstream: Option<Upstream>) {
        *self.upstream.borrow_mut() = upstream.map(Rc::new);
    }

    /// Holds the lease, so that what passes is counted in it.
    pub(super) fn hold(&self, lease: Lease) {
        *self.lease.borrow_mut() = Some(lease);
    }

    pub(super) fn take_lease(&self) -> Option<Lease> {
        self.lease.borrow_mut().take()
    }

    /// Whether the node's machine has said, since this was last asked, that nothing listens there.
    pub(super) fn node_is_gone(&self) -> bool {
        self.gone.take()
    }

    pub(super) fn take_events(&self) -> Vec<Output> {
        self.events.take()
    }

    /// Resolves when there are events.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Steps the machine with something that is no datagram.
    pub(super) fn step(&self, shard: &Shard, input: Input<'_>) {
        let mut outputs = shard.outputs.take();
        self.session.borrow_mut().handle(shard.now(), input, &mut outputs);
        outputs.drain(..).for_each(|output| self.perform(shard, output));
        shard.outputs.replace(outputs);
    }

    /// Passes a train on, as far as the machine lets its datagrams through. Datagrams that go on together are sent together.
    pub(super) fn pass(&self, shard: &Shard, side: Side, train: Train<'_>) {
        let now = shard.now();
        let mut outputs = shard.outputs.take();
        let mut run = 0..0;
        let mut at = 0;
        for datagram in train.bytes.chunks(train.stride) {
            self.session.borrow_mut().handle(now, side.input(datagram), &mut outputs);
            let through = outputs.first() == Some(&Output::Forward);
            let end = at + datagram.len();
            if through {
                run.end = end;
            }
            if !through || outputs.len() > 1 {
                self.forward(shard, side, train.bytes.get(run).unwrap_or_default(), train.stride);
                run = end..end;
            }
            for output in outputs.drain(..).filter(|output| *output != Output::Forward) {
                self.perform(shard, output);
            }
            at = end;
        }
        self.forward(shard, side, train.bytes.get(run).unwrap_or_default(), train.stride);
        shard.outputs.replace(outputs);
    }

    fn forward(&self, shard: &Shard, side: Side, bytes: &[u8], stride: usize) {
        if bytes.is_empty() {
            return;
        }
        let count = bytes.len().div_ceil(stride);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let lease = self.lease.borrow();
        match side {
            Side::Caller => {
                self.to_node(shard, bytes, stride, count);
                if let Some(lease) = &*lease {
                    lease.traffic().received(length);
                }
            }
            Side::Node => {
                let sent = shard.socket.send(self.from, self.local, bytes, stride);
                shard.metrics.to_caller().passed(count, sent.lost);
                if let Some(lease) = &*lease {
                    lease.traffic().sent(length);
                }
            }
        }
    }

    fn to_node(&self, shard: &Shard, bytes: &[u8], stride: usize, count: usize) {
        let Some(upstream) = self.upstream() else { return };
        let sent = upstream.socket.send(upstream.node, None, bytes, stride);
        shard.metrics.to_node().passed(count, sent.lost);
        if sent.refused {
            self.gone.set(true);
            self.wake.notify_one();
        }
    }

    fn perform(&self, shard: &Shard, output: Output) {
        match output {
            // Sent by `pass`; nothing else makes one.
            Output::Forward => {}
            Output::ToCaller(bytes) => {
                let sent = shard.socket.send(self.from, self.local, &bytes, bytes.len().max(1));
                shard.metrics.to_caller().passed(1, sent.lost);
            }
            Output::ToNode(bytes) => self.to_node(shard, &bytes, bytes.len().max(1), 1),
            Output::Opened
            | Output::NodeRefused(_)
            | Output::NodeSilent
            | Output::NodeGone
            | Output::Ended(_)
            | Output::Done => {
                self.events.borrow_mut().push(output);
                self.wake.notify_one();
            }
        }
    }
}
