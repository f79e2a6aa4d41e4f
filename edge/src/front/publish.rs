//! A publisher's place: its turn at this edge, then a reservation in the cluster.

use super::{
    Grant, GrantRequest, Parts, failure,
    grant::{Hold, Placed},
    open::draw_session,
};
use crate::{
    control::ControlError,
    error::{ApiError, BUSY_RETRY_SECONDS},
    metrics::Degraded,
    nodes::Provisional,
    stream::{PublishTurn, StreamError, StreamHandle},
};
use proto::{
    NodeId, SessionId,
    fleet::Placement,
    internal::{Credential, ReleaseRequest, Reservation, ReserveRequest},
    node::SrtPort,
};
use std::sync::Arc;

/// The one local attempt to publish a stream. Dropped: the next one may try.
pub(super) struct Turn {
    actor: StreamHandle,
    first: SessionId,
    /// The kind of port that an SRT caller needs at its node.
    srt: Option<SrtPort>,
    /// Nodes that have just failed: another one is taken while there is one.
    pub(super) tried: Vec<NodeId>,
    _turn: PublishTurn,
}

/// A reservation at control-api. Dropped: it is released.
pub(super) struct Reserved {
    parts: Arc<Parts>,
    ask: Option<ReleaseRequest>,
}

impl Reserved {
    /// A hook has confirmed it.
    pub(super) fn keep(mut self) {
        self.ask = None;
    }

    pub(super) async fn release(mut self) {
        if let Some(ask) = self.ask.take() {
            self.parts.release(&ask).await;
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(ask) = self.ask.take() {
            let parts = self.parts.clone();
            self.parts.behind(async move { parts.release(&ask).await });
        }
    }
}

impl Parts {
    /// One local publisher of a stream tries at a time; the others hear "busy" without troubling control-api.
    pub(super) async fn turn(
        &self,
        wanted: &GrantRequest,
        srt: Option<SrtPort>,
        session: SessionId,
    ) -> Result<Turn, ApiError> {
        let busy = ApiError::StreamBusy { retry_after: BUSY_RETRY_SECONDS };
        // An actor may end between being found and being asked; the registry then has or makes another.
        for _ in 0..2 {
            let actor = self.streams.get_or_start(&wanted.stream).map_err(|_| ApiError::NodeUnavailable)?;
            match actor.publish_turn(session).await {
                Ok(Some(turn)) => return Ok(Turn { actor, first: session, srt, tried: Vec::new(), _turn: turn }),
                Ok(None) | Err(StreamError::Busy) => return Err(busy),
                Err(StreamError::Gone) => {}
            }
        }
        Err(busy)
    }

    /// Reserves the stream at a node that this edge knows the address of; `attempt` is the number of this one, and what it came to be is given
    /// back. The first attempt has the id of the admission, each later one its own.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        wanted: &GrantRequest,
        credential: &Credential,
        turn: Turn,
        attempt: u32,
    ) -> Result<(Placed, u32), ApiError> {
        for attempt in attempt..=Grant::ATTEMPTS {
            let session = if attempt == 1 { turn.first } else { draw_session() };
            let (reservation, provisional) = self.reservation(wanted, credential, &turn, session).await?;
            let ask = ReleaseRequest { stream: wanted.stream.clone(), session, epoch: reservation.epoch };
            // One that is this edge's own word only is nobody else's to release.
            let reserved = Reserved { parts: self.clone(), ask: (!provisional).then_some(ask) };
            if let Some(node) = self.nodes.get(&reservation.node) {
                let at = Arc::new(placement(wanted, &reservation, session));
                let actor = turn.actor.clone();
                return Ok((Placed { at, node, actor, hold: Some(Hold { turn, reserved }), session }, attempt));
            }
            tracing::error!(node = %reservation.node, "a stream was reserved at a node that this edge has no address of");
            reserved.release().await;
        }
        Err(ApiError::NodeUnavailable)
    }

    /// A reservation, and whether it is this edge's own word only.
    async fn reservation(
        &self,
        wanted: &GrantRequest,
        credential: &Credential,
        turn: &Turn,
        session: SessionId,
    ) -> Result<(Reservation, bool), ApiError> {
        let mut nodes = self.nodes.proposed(&wanted.stream, &self.replica, turn.srt);
        if nodes.iter().any(|node| !turn.tried.contains(&node.node)) {
            nodes.retain(|node| !turn.tried.contains(&node.node));
        }
        if nodes.is_empty() {
            return Err(ApiError::NodeUnavailable);
        }
        let ask = ReserveRequest {
            stream: wanted.stream.clone(),
            session,
            edge: self.edge.clone(),
            nodes,
            protocol: wanted.protocol,
            credential: credential.clone(),
            client: Some(wanted.client),
            takeover: wanted.takeover,
            srt: turn.srt,
        };
        match self.control.reserve(&ask).await {
            Ok(reservation) => Ok((reservation, false)),
            Err(ControlError::Away) => {
                tracing::warn!(stream.id = %wanted.stream, "no control-api could reserve a stream");
                self.by_ourselves(wanted).await.map(|reservation| (reservation, true))
            }
            Err(error) => Err(failure::of_control(error)),
        }
    }

    /// While every control-api is away: where all edges would send this publisher. One that is there and cannot decide is obeyed.
    async fn by_ourselves(&self, wanted: &GrantRequest) -> Result<Reservation, ApiError> {
        if self.control.answers().await {
            return Err(failure::of_control(ControlError::Away));
        }
        match self.nodes.provisional(&wanted.stream, &self.replica) {
            Provisional::Go(reservation) => {
                self.metrics.degraded(Degraded::Provisional);
                tracing::warn!(
                    stream.id = %wanted.stream, node = %reservation.node, epoch = reservation.epoch,
                    "a publisher is let in without a claim"
                );
                Ok(reservation)
            }
            Provisional::Taken => Err(ApiError::StreamBusy { retry_after: BUSY_RETRY_SECONDS }),
            Provisional::Nowhere => Err(failure::of_control(ControlError::Away)),
        }
    }

    async fn release(&self, ask: &ReleaseRequest) {
        if let Err(error) = self.control.release(ask).await {
            tracing::warn!(stream.id = %ask.stream, %error, "a reservation could not be released; it ends by itself");
        }
    }
}

fn placement(wanted: &GrantRequest, reservation: &Reservation, session: SessionId) -> Placement {
    Placement {
        stream: wanted.stream.clone(),
        node: reservation.node.clone(),
        service: reservation.service.clone(),
        epoch: reservation.epoch,
        session,
        protocol: wanted.protocol,
        since_ms: kit::clock::unix_ms(),
    }
}
