//! Stream id → actor: starts them on their arbiter, replaces ended ones, passes news on.

use super::{
    actor::StreamActor,
    core::Input,
    handle::{StreamError, StreamHandle},
    lookup::Lookup,
};
use crate::metrics::Metrics;
use actix::Arbiter;
use proto::{NodeId, ServiceId, StreamId, event::Event, session::EndReason};
use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    sync::{Arc, PoisonError, RwLock},
};

/// Actors at most; an edge with more streams than this refuses new ones.
const ACTORS_MAX: usize = 50_000;
/// Entries of ended actors are swept out when the map has grown by this many since the last sweep.
const SWEEP_EVERY: usize = 256;

/// All streams of this edge.
#[derive(Debug)]
pub struct Registry {
    streams: RwLock<HashMap<StreamId, StreamHandle>>,
    arbiters: Vec<Arbiter>,
    lookup: Lookup,
    metrics: Metrics,
}

impl Registry {
    /// Starts `threads` arbiters (at least one). Needs an actix system.
    #[must_use]
    pub fn new(threads: usize, lookup: Lookup, metrics: Metrics) -> Self {
        let arbiters = (0..threads.max(1)).map(|_| Arbiter::new()).collect();
        Self { streams: RwLock::default(), arbiters, lookup, metrics }
    }

    /// The stream's actor, if it runs.
    #[must_use]
    pub fn get(&self, stream: &StreamId) -> Option<StreamHandle> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.get(stream).filter(|handle| !handle.ended()).cloned()
    }

    /// The stream's actor, started if there is none.
    ///
    /// # Errors
    /// [`StreamError::Busy`] when there are too many.
    pub fn get_or_start(&self, stream: &StreamId) -> Result<StreamHandle, StreamError> {
        if let Some(handle) = self.get(stream) {
            return Ok(handle);
        }
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = streams.get(stream).filter(|handle| !handle.ended()) {
            return Ok(handle.clone());
        }
        if streams.len() >= ACTORS_MAX || (streams.len() + 1).is_multiple_of(SWEEP_EVERY) {
            streams.retain(|_, handle| !handle.ended());
        }
        if streams.len() >= ACTORS_MAX {
            return Err(StreamError::Busy);
        }
        let handle = self.start(stream);
        streams.insert(stream.clone(), handle.clone());
        Ok(handle)
    }

    fn start(&self, stream: &StreamId) -> StreamHandle {
        let (handle, shared, commands) = StreamHandle::new(stream.clone());
        let (lookup, metrics) = (self.lookup.clone(), self.metrics.clone());
        // An arbiter that has ended drops the door's other end, which the handle notices.
        if let Some(arbiter) = self.arbiter(stream) {
            arbiter.spawn_fn(move || StreamActor::start(shared, commands, lookup, metrics));
        }
        handle
    }

    fn arbiter(&self, stream: &StreamId) -> Option<&Arbiter> {
        let mut hasher = DefaultHasher::new();
        stream.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % self.arbiters.len().max(1) as u64).unwrap_or(0);
        self.arbiters.get(index)
    }

    /// Tells every stream on a node that the node has another run, or none.
    pub fn node_changed(&self, node: &NodeId, service: Option<&ServiceId>) {
        self.tell_all(&Input::Node { node: node.clone(), service: service.cloned() });
    }

    /// Tells every stream on a node that the node does not answer this edge.
    pub fn node_doubted(&self, node: &NodeId) {
        self.tell_all(&Input::Doubt(node.clone()));
    }

    fn tell_all(&self, input: &Input) {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.values().for_each(|handle| handle.tell(input.clone()));
    }

    fn tell(&self, stream: &StreamId, input: Input) {
        if let Some(handle) = self.get(stream) {
            handle.tell(input);
        }
    }

    /// Passes one piece of news on.
    pub fn event(&self, event: &Event) {
        match event {
            Event::StreamLive { placement, .. } => {
                self.tell(&placement.stream, Input::Live(Arc::new(placement.clone())));
            }
            Event::StreamEnded { stream, epoch, reason, .. } => {
                let viewers_too = matches!(reason, EndReason::NodeLost | EndReason::StreamMoved);
                self.tell(stream, Input::Ended { epoch: *epoch, viewers_too });
            }
            Event::SessionClosed { id, stream, .. } => self.tell(stream, Input::Closed(*id)),
            Event::TokenRevoked { jti, .. } => self.tell_all(&Input::Revoked(*jti)),
            Event::StreamChanged { .. }
            | Event::SessionOpened { .. }
            | Event::KeyRevoked { .. }
            | Event::SecretsChanged
            | Event::MembersChanged { .. }
            | Event::NodeUp { .. }
            | Event::NodeDown { .. } => {}
        }
    }

    /// Tells all streams whether news arrives, and when it does again, where they are by what was read since.
    pub fn healthy(&self, healthy: bool) {
        self.tell_all(&Input::News { healthy });
        if !healthy {
            return;
        }
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        for (stream, handle) in streams.iter() {
            if let Some(placement) = self.lookup.replica.placements(|all| all.get(stream).cloned()) {
                handle.tell(Input::Live(Arc::new(placement)));
            }
        }
    }

    /// Ends the arbiters' threads.
    pub fn stop(&self) {
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }
}
