//! What an entry is keyed by, and how short it is kept.

use proto::{
    ClientId, EdgeId, NodeId, ServiceId,
    session::{Protocol, Session},
};

/// What carries sessions and takes all of them with it when it is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Run {
    /// One run of a media node.
    Node {
        /// The node.
        node: NodeId,
        /// Its run.
        service: ServiceId,
    },
    /// An edge, for sessions that only edges know, such as HLS.
    Edge(EdgeId),
}

impl Run {
    /// The node, unless it is an edge.
    #[must_use]
    pub const fn node(&self) -> Option<&NodeId> {
        match self {
            Self::Node { node, .. } => Some(node),
            Self::Edge(_) => None,
        }
    }
}

/// The key of an entry: a connection as what carries it calls it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What carries it.
    pub run: Run,
    /// Its name there; for an edge's sessions the session id.
    pub client: ClientId,
}

impl Key {
    /// The key of a connection to a node.
    #[must_use]
    pub const fn new(node: NodeId, service: ServiceId, client: ClientId) -> Self {
        Self { run: Run::Node { node, service }, client }
    }

    /// The key of a session: HLS viewers are known to their edge only, all others to their node.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        if let (Protocol::Hls, Some(edge)) = (session.protocol, &session.edge)
            && let Ok(client) = ClientId::parse(&session.id.to_string())
        {
            return Self { run: Run::Edge(edge.clone()), client };
        }
        Self::new(session.node.clone(), session.service.clone(), session.client_id.clone())
    }
}

/// Longest client name that is kept without an allocation, in bytes. SRS draws 8 characters.
const SHORT_MAX: usize = 22;

/// A client's name in 24 bytes.
#[derive(Debug)]
pub(crate) enum Client {
    Short { len: u8, bytes: [u8; SHORT_MAX] },
    Long(Box<str>),
}

impl Client {
    pub(crate) fn new(client: &ClientId) -> Self {
        let text = client.as_str();
        let mut bytes = [0; SHORT_MAX];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(text.as_bytes());
                Self::Short { len, bytes }
            }
            _ => Self::Long(text.into()),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(text) => text.as_bytes(),
        }
    }

    pub(crate) fn id(&self) -> Option<ClientId> {
        std::str::from_utf8(self.as_bytes()).ok().and_then(|text| ClientId::parse(text).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_keep_their_names() {
        for text in ["m0579z19", "0123456789012345678901", "01234567890123456789012345678901"] {
            let id = ClientId::parse(text).unwrap();
            assert_eq!(Client::new(&id).id(), Some(id));
        }
        assert_eq!(std::mem::size_of::<Client>(), 24);
    }
}
