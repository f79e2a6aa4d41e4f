//! A publisher: its turn at this edge, a reservation in the cluster, then the node.

use super::{
    OpenRequest, Parts, failure,
    open::{Held, Target, draw_session},
};
use crate::{
    admit::Admitted,
    control::ControlError,
    error::{ApiError, BUSY_RETRY_SECONDS},
    metrics::Degraded,
    nodes::Provisional,
    stream::{PublishTurn, StreamError, StreamHandle, core::Input},
};
use proto::{
    SessionId,
    fleet::Placement,
    internal::{ReleaseRequest, Reservation, ReserveRequest},
    session::Protocol,
    wire::sdp::Offer,
};
use std::sync::Arc;
use tokio::time::Instant;

/// Attempts at most: the second is for another node, or another ICE name.
const ATTEMPTS: u32 = 2;

impl Parts {
    /// Reserves the stream and opens the session. What was reserved is released when it does not come about.
    pub(super) async fn publish(
        &self,
        request: &OpenRequest,
        offer: &Offer,
        admitted: &Admitted,
        first: SessionId,
        deadline: Instant,
    ) -> Result<Held, ApiError> {
        let (stream, turn) = self.turn(request, first).await?;
        let mut session = first;
        for attempt in 1..=ATTEMPTS {
            let (reservation, provisional) = self.reserve(request, admitted, session).await?;
            let target = self.target(&reservation, session, deadline);
            let made = match &target {
                Some(target) => {
                    self.attempt(request, offer, target).await.map_err(|error| (error.api(), error.again()))
                }
                None => Err((ApiError::NodeUnavailable, true)),
            };
            match made {
                Ok(held) => {
                    let at = Arc::new(placement(request, &reservation, session));
                    self.replica.change_placements(|all| all.live(Placement::clone(&at)));
                    stream.tell(Input::Live(at.clone()));
                    stream.opened(held.to_keep(at, admitted)).await;
                    drop(turn);
                    return Ok(held);
                }
                Err((error, again)) => {
                    if !provisional {
                        self.release(request, &reservation, session).await;
                    }
                    if !again || attempt == ATTEMPTS {
                        return Err(error);
                    }
                    session = draw_session();
                }
            }
        }
        Err(ApiError::NodeUnavailable)
    }

    /// One local publisher of a stream tries at a time; the others hear "busy" without troubling control-api.
    async fn turn(&self, request: &OpenRequest, session: SessionId) -> Result<(StreamHandle, PublishTurn), ApiError> {
        let busy = ApiError::StreamBusy { retry_after: BUSY_RETRY_SECONDS };
        // An actor may end between being found and being asked; the registry then has or makes another.
        for _ in 0..2 {
            let stream = self.streams.get_or_start(&request.stream).map_err(|_| ApiError::NodeUnavailable)?;
            match stream.publish_turn(session).await {
                Ok(Some(turn)) => return Ok((stream, turn)),
                Ok(None) | Err(StreamError::Busy) => return Err(busy),
                Err(StreamError::Gone) => {}
            }
        }
        Err(busy)
    }

    /// A reservation, and whether it is this edge's own word only.
    async fn reserve(
        &self,
        request: &OpenRequest,
        admitted: &Admitted,
        session: SessionId,
    ) -> Result<(Reservation, bool), ApiError> {
        let nodes = self.nodes.proposed(&request.stream, &self.replica);
        if nodes.is_empty() {
            return Err(ApiError::NodeUnavailable);
        }
        let ask = ReserveRequest {
            stream: request.stream.clone(),
            session,
            edge: self.edge.clone(),
            nodes,
            protocol: Protocol::Webrtc,
            credential: admitted.credential.clone(),
            client: Some(request.client),
            takeover: request.takeover,
        };
        match self.control.reserve(&ask).await {
            Ok(reservation) => Ok((reservation, false)),
            Err(ControlError::Away) => {
                tracing::warn!(stream.id = %request.stream, "no control-api could reserve a stream");
                self.by_ourselves(request).await.map(|reservation| (reservation, true))
            }
            Err(error) => Err(failure::of_control(error)),
        }
    }

    /// While every control-api is away: where all edges would send this publisher. One that is there and cannot decide is obeyed.
    async fn by_ourselves(&self, request: &OpenRequest) -> Result<Reservation, ApiError> {
        if self.control.answers().await {
            return Err(failure::of_control(ControlError::Away));
        }
        match self.nodes.provisional(&request.stream, &self.replica) {
            Provisional::Go(reservation) => {
                self.metrics.degraded(Degraded::Provisional);
                tracing::warn!(
                    stream.id = %request.stream, node = %reservation.node, epoch = reservation.epoch,
                    "a publisher is let in without a claim"
                );
                Ok(reservation)
            }
            Provisional::Taken => Err(ApiError::StreamBusy { retry_after: BUSY_RETRY_SECONDS }),
            Provisional::Nowhere => Err(failure::of_control(ControlError::Away)),
        }
    }

    fn target(&self, reservation: &Reservation, session: SessionId, deadline: Instant) -> Option<Target> {
        let node = self.nodes.get(&reservation.node)?;
        Some(Target { node, service: reservation.service.clone(), epoch: reservation.epoch, session, deadline })
    }

    async fn release(&self, request: &OpenRequest, reservation: &Reservation, session: SessionId) {
        let ask = ReleaseRequest { stream: request.stream.clone(), session, epoch: reservation.epoch };
        if let Err(error) = self.control.release(&ask).await {
            tracing::warn!(stream.id = %request.stream, %error, "a reservation could not be released; it ends by itself");
        }
    }
}

fn placement(request: &OpenRequest, reservation: &Reservation, session: SessionId) -> Placement {
    Placement {
        stream: request.stream.clone(),
        node: reservation.node.clone(),
        service: reservation.service.clone(),
        epoch: reservation.epoch,
        session,
        protocol: Protocol::Webrtc,
        since_ms: kit::clock::unix_ms(),
    }
}
