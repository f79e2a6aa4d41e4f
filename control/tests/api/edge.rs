//! An edge's side of the internal API: it admits clients, reserves, makes tickets.

use super::{
    helpers::{Answer, Control, send},
    media::Node,
};
use control::secrets::Secrets;
use proto::{
    EdgeId, SessionId, StreamId,
    api::NewStream,
    internal::{Credential, Reservation, bearer},
    session::{Protocol, Role},
    ticket::{Scope, Ticket, ufrag_hash},
};
use reqwest::Method;
use serde_json::{Value, json};

/// What an edge got for a client.
pub(crate) struct Admitted {
    pub(crate) stream: StreamId,
    pub(crate) session: SessionId,
    pub(crate) epoch: u64,
    pub(crate) ticket: String,
    pub(crate) ufrag: String,
}

impl Admitted {
    /// The query the edge gives to SRS.
    pub(crate) fn param(&self) -> String {
        let Self { stream, ticket, ufrag, .. } = self;
        format!("app=live&stream={stream}&kst={ticket}&ice-ufrag={ufrag}&ice-pwd=0123456789abcdef0123456789abcdef")
    }
}

/// An edge's side.
pub(crate) struct Edge {
    id: EdgeId,
}

impl Edge {
    pub(crate) fn new() -> Self {
        Self { id: EdgeId::parse("edge-1").unwrap() }
    }

    fn bearer(&self, secrets: &Secrets) -> String {
        bearer(&secrets.keyring.current, &self.id, kit::clock::unix())
    }

    pub(crate) async fn post(&self, control: &Control, path: &str, body: &Value) -> Answer {
        let token = self.bearer(&control.state.secrets().unwrap());
        send(control.request(Method::POST, path).bearer_auth(token).json(body)).await
    }

    pub(crate) async fn get(&self, control: &Control, path: &str) -> Answer {
        let token = self.bearer(&control.state.secrets().unwrap());
        send(control.request(Method::GET, path).bearer_auth(token)).await
    }

    pub(crate) fn reservation(
        &self,
        stream: &StreamId,
        session: SessionId,
        node: &Node,
        credential: &Credential,
        takeover: bool,
    ) -> Value {
        json!({ "stream": stream, "session": session, "edge": self.id, "nodes": [{ "node": node.name, "service": node.service() }],
            "protocol": "webrtc", "credential": credential, "client": "198.51.100.4", "takeover": takeover })
    }

    pub(crate) async fn reserve(
        &self,
        control: &Control,
        stream: &StreamId,
        node: &Node,
        credential: &Credential,
    ) -> Answer {
        let body = self.reservation(stream, new_session(), node, credential, false);
        self.post(control, "/internal/v1/claims", &body).await
    }

    /// Reserves and makes the ticket.
    pub(crate) async fn admit(
        &self,
        control: &Control,
        stream: &StreamId,
        node: &Node,
        credential: &Credential,
    ) -> Admitted {
        self.admit_with(control, stream, node, credential, false).await
    }

    pub(crate) async fn admit_with(
        &self,
        control: &Control,
        stream: &StreamId,
        node: &Node,
        credential: &Credential,
        takeover: bool,
    ) -> Admitted {
        let session = new_session();
        let body = self.reservation(stream, session, node, credential, takeover);
        let got: Reservation = self.post(control, "/internal/v1/claims", &body).await.is(200).read();
        assert_eq!(got.node, node.id());
        self.ticket(control, stream, session, node, got.epoch, Role::Publish)
    }

    /// A ticket without asking anybody.
    pub(crate) fn ticket(
        &self,
        control: &Control,
        stream: &StreamId,
        session: SessionId,
        node: &Node,
        epoch: u64,
        role: Role,
    ) -> Admitted {
        self.ticket_until(control, stream, session, node, (epoch, role), kit::clock::unix() + 30)
    }

    pub(crate) fn ticket_until(
        &self,
        control: &Control,
        stream: &StreamId,
        session: SessionId,
        node: &Node,
        (epoch, role): (u64, Role),
        expires_at: u64,
    ) -> Admitted {
        let ufrag = "abcdef0123456789".to_owned();
        let ticket = Ticket {
            session,
            role,
            protocol: Protocol::Webrtc,
            expires_at,
            epoch,
            client: "198.51.100.4".parse().ok(),
            ufrag_hash: ufrag_hash(&ufrag),
            edge: self.id.clone(),
        };
        let (node, service) = (node.id(), node.service());
        let secrets = control.state.secrets().unwrap();
        let ticket = ticket.seal(&secrets.keyring.current, Scope { node: &node, service: &service, stream });
        Admitted { stream: stream.clone(), session, epoch, ticket, ufrag }
    }
}

pub(crate) fn new_session() -> SessionId {
    SessionId::from_uuid(uuid::Uuid::now_v7())
}

/// The credential of a stream's key.
pub(crate) fn key_of(made: &NewStream) -> Credential {
    Credential::StreamKey { hash: proto::secret::sha256_hex(made.stream_key.as_bytes()) }
}
