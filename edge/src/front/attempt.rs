//! One attempt to open a session at one node, and what its failure tells.

use super::{Grant, Parts, failure};
use crate::{error::ApiError, srs::SrsError};
use proto::{NodeId, ServiceId, node::Met};

/// Why an attempt at a node failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptError {
    /// The node's doing.
    Node(SrsError),
    /// It hung up, and no control-api is there to answer its hook: what it was waiting for is known.
    NoHook,
    /// The name we chose was taken there: try again with another.
    Collision,
}

impl AttemptError {
    pub(super) fn api(self) -> ApiError {
        match self {
            Self::Node(error) => failure::of_node(error),
            Self::NoHook => ApiError::Away { what: "control-api" },
            Self::Collision => ApiError::UpstreamRefused,
        }
    }

    /// Whether another attempt may go better: nothing was opened, and another name or node is to be had.
    pub(super) const fn again(self) -> bool {
        matches!(self, Self::Collision | Self::Node(SrsError::NotListening | SrsError::Unreachable))
    }
}

impl Parts {
    /// Notes what a failed request tells of its node. One that was not answered may also be the hook's doing: then the node is looked at.
    pub(super) fn node_erred(&self, node: &NodeId, service: &ServiceId, error: SrsError) {
        match error {
            SrsError::NotListening => drop(self.keeper.failed(node, service, Met::Refused)),
            SrsError::Unreachable => drop(self.keeper.failed(node, service, Met::Silent)),
            SrsError::TimedOut | SrsError::HungUp => self.nodes.doubt(node, service),
            SrsError::Busy | SrsError::Refused | SrsError::Offer | SrsError::BadAnswer(_) => {}
        }
    }

    /// Notes and logs a failed attempt, and asks whose doing it was.
    pub(super) async fn attempt_failed(&self, grant: &Grant, error: SrsError) -> AttemptError {
        let node = grant.node();
        self.node_erred(&node.id, &grant.placement().service, error);
        tracing::warn!(
            node = %node.id, stream.id = %grant.stream(), role = grant.wanted().role.as_str(),
            protocol = grant.wanted().protocol.as_str(), %error, "a media node did not open a session: {error}"
        );
        if error == SrsError::HungUp && !self.control.answers().await {
            return AttemptError::NoHook;
        }
        AttemptError::Node(error)
    }
}
