//! A viewer: where the stream is, then its node.

use super::{
    OpenRequest, Parts,
    open::{AttemptError, Held, Target, draw_session},
};
use crate::{
    admit::Admitted,
    error::ApiError,
    metrics::Degraded,
    nodes::Provisional,
    stream::{Seen, StreamError, StreamHandle, core::Input},
};
use proto::{SessionId, fleet::Placement, session::Protocol, wire::sdp::Offer};
use std::sync::Arc;
use tokio::time::Instant;

impl Parts {
    /// Finds the stream's node and opens the session there.
    pub(super) async fn play(
        &self,
        request: &OpenRequest,
        offer: &Offer,
        seen: Option<Seen>,
        admitted: &Admitted,
        session: SessionId,
        deadline: Instant,
    ) -> Result<Held, ApiError> {
        let stream = self.streams.get_or_start(&request.stream).map_err(|_| ApiError::NodeUnavailable)?;
        let placement = self.find(request, &stream, seen, admitted).await?;
        let mut target = self.viewer_target(&placement, session, deadline)?;
        let mut made = self.attempt(request, offer, &target).await;
        if made.as_ref().err() == Some(&AttemptError::Collision) {
            target.session = draw_session();
            made = self.attempt(request, offer, &target).await;
        }
        let held = made.map_err(AttemptError::api)?;
        stream.opened(held.to_keep(placement, admitted)).await;
        Ok(held)
    }

    /// Where the stream is: as seen before, as Redis just said, or as its actor finds out.
    async fn find(
        &self,
        request: &OpenRequest,
        stream: &StreamHandle,
        seen: Option<Seen>,
        admitted: &Admitted,
    ) -> Result<Arc<Placement>, ApiError> {
        let seen = match (seen, &admitted.placement) {
            (Some(seen), _) => seen,
            (None, Some(placement)) => {
                let placement = Arc::new(placement.clone());
                stream.tell(Input::Live(placement.clone()));
                Seen::Live(placement)
            }
            (None, None) => self.ask_actor(request, stream).await?,
        };
        match seen {
            Seen::Live(placement) => Ok(placement),
            Seen::Absent => Err(ApiError::StreamNotLive),
        }
    }

    async fn ask_actor(&self, request: &OpenRequest, stream: &StreamHandle) -> Result<Seen, ApiError> {
        let answer = match stream.place().await {
            Err(StreamError::Gone) => {
                let fresh = self.streams.get_or_start(&request.stream).map_err(|_| ApiError::NodeUnavailable)?;
                fresh.place().await
            }
            other => other,
        };
        match answer {
            Ok(Some(seen)) => Ok(seen),
            Ok(None) => self.at_home(request).ok_or(ApiError::Away { what: "control-api" }),
            Err(_) => Err(ApiError::NodeUnavailable),
        }
    }

    /// Where a publisher would be who came while nobody could be asked. Whether one is there, its node says.
    fn at_home(&self, request: &OpenRequest) -> Option<Seen> {
        let Provisional::Go(home) = self.nodes.provisional(&request.stream, &self.replica) else { return None };
        self.metrics.degraded(Degraded::Ring);
        Some(Seen::Live(Arc::new(Placement {
            stream: request.stream.clone(),
            node: home.node,
            service: home.service,
            epoch: home.epoch,
            // Nobody's: the publisher is not known.
            session: SessionId::from_bytes([0; 16]),
            protocol: Protocol::Webrtc,
            since_ms: kit::clock::unix_ms(),
        })))
    }

    fn viewer_target(&self, at: &Placement, session: SessionId, deadline: Instant) -> Result<Target, ApiError> {
        let Some(node) = self.nodes.get(&at.node) else {
            tracing::error!(node = %at.node, "a stream is on a node that neither the membership nor SRS_UPSTREAM names");
            return Err(ApiError::NodeUnavailable);
        };
        // The node is gone, or was restarted since: whoever published there is gone too.
        if node.lost || node.service.as_ref().is_some_and(|run| *run != at.service) {
            return Err(ApiError::StreamNotLive);
        }
        if !node.up {
            return Err(ApiError::NodeUnavailable);
        }
        Ok(Target { node, service: at.service.clone(), epoch: at.epoch, session, deadline })
    }
}
