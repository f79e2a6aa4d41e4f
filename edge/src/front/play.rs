//! A viewer's place: where the stream is.

use super::{GrantRequest, Parts, grant::Placed};
use crate::{
    admit::Admitted,
    error::ApiError,
    metrics::Degraded,
    nodes::{NodeAddress, Provisional},
    stream::{Seen, StreamError, StreamHandle, core::Input},
};
use proto::{SessionId, fleet::Placement, session::Protocol};
use std::sync::Arc;

impl Parts {
    /// Finds the stream's node.
    pub(super) async fn follow(
        &self,
        wanted: &GrantRequest,
        seen: Option<Seen>,
        admitted: &Admitted,
        session: SessionId,
    ) -> Result<Placed, ApiError> {
        let actor = self.streams.get_or_start(&wanted.stream).map_err(|_| ApiError::NodeUnavailable)?;
        let at = self.find(wanted, &actor, seen, admitted).await?;
        let node = self.home_of(&at)?;
        Ok(Placed { at, node, actor, hold: None, session })
    }

    /// Where the stream is: as seen before, as Redis just said, or as its actor finds out.
    async fn find(
        &self,
        wanted: &GrantRequest,
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
            (None, None) => self.ask_actor(wanted, stream).await?,
        };
        match seen {
            Seen::Live(placement) => Ok(placement),
            Seen::Absent => Err(ApiError::StreamNotLive),
        }
    }

    async fn ask_actor(&self, wanted: &GrantRequest, stream: &StreamHandle) -> Result<Seen, ApiError> {
        let answer = match stream.place().await {
            Err(StreamError::Gone) => {
                let fresh = self.streams.get_or_start(&wanted.stream).map_err(|_| ApiError::NodeUnavailable)?;
                fresh.place().await
            }
            other => other,
        };
        match answer {
            Ok(Some(seen)) => Ok(seen),
            Ok(None) => self.at_home(wanted).ok_or(ApiError::Away { what: "control-api" }),
            Err(_) => Err(ApiError::NodeUnavailable),
        }
    }

    /// Where a publisher would be who came while nobody could be asked. Whether one is there, its node says.
    fn at_home(&self, wanted: &GrantRequest) -> Option<Seen> {
        let Provisional::Go(home) = self.nodes.provisional(&wanted.stream, &self.replica) else { return None };
        self.metrics.degraded(Degraded::Ring);
        Some(Seen::Live(Arc::new(Placement {
            stream: wanted.stream.clone(),
            node: home.node,
            service: home.service,
            epoch: home.epoch,
            // Nobody's: the publisher is not known.
            session: SessionId::from_bytes([0; 16]),
            protocol: Protocol::Webrtc,
            since_ms: kit::clock::unix_ms(),
        })))
    }

    /// The node of a placement, if the stream can still be there.
    fn home_of(&self, at: &Placement) -> Result<NodeAddress, ApiError> {
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
        Ok(node)
    }
}
