//! A node's HTTP API, as far as control-api uses it: who is connected, what is published, end one client.

use proto::{
    ClientId, NodeId, ServiceId,
    node::Met,
    srs::api::{CODE_CLIENT_NOT_FOUND, Client, Clients, Head, PAGE_COUNT, Streams, Versions},
};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long a node may take to answer; it does everything on one thread and answers in milliseconds.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long a probe may take.
pub const PROBE_MAX: Duration = Duration::from_secs(1);
/// Longest answer that is read, in bytes: 100,000 clients are about 40 MiB.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a node has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SrsError {
    /// The connection was refused: no process listens there.
    #[error("the node's process is gone")]
    Gone,
    /// No answer in time, or a broken one.
    #[error("the node's API does not answer")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another run answered: everything on the old one is over.
    #[error("the node was restarted")]
    OtherRun,
}

/// What became of a kick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kicked {
    /// SRS ends the client.
    Ended,
    /// SRS does not know the client (any more).
    Unknown,
}

/// Asks nodes. Every call has a connection of its own, as all calls to SRS (docs/srs.md).
#[derive(Debug, Clone)]
pub struct Srs(reqwest::Client);

impl Srs {
    /// Makes the client.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(ANSWER_MAX)
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self(client))
    }

    /// The client below, for calls between control nodes: a connection each, no proxy, no redirect.
    #[must_use]
    pub const fn http(&self) -> &reqwest::Client {
        &self.0
    }

    /// Looks whether the node answers, and under which run: one request of a second at most.
    ///
    /// # Errors
    /// What was met instead of an answer. Another node's answer, or one that is none of SRS, is silence.
    pub async fn probe(&self, api: &str, node: &NodeId) -> Result<ServiceId, Met> {
        let request = self.0.get(format!("{api}/api/v1/versions")).timeout(PROBE_MAX);
        match read::<Head>(request).await {
            Ok(head) if head.code == 0 && head.server == node.as_str() => {
                ServiceId::parse(&head.service).map_err(|_| Met::Silent)
            }
            Ok(_) | Err(SrsError::Away(_) | SrsError::OtherRun) => Err(Met::Silent),
            Err(SrsError::Gone) => Err(Met::Refused),
        }
    }

    /// Who answers there, and its version.
    ///
    /// # Errors
    /// [`SrsError`].
    pub async fn versions(&self, api: &str) -> Result<Versions, SrsError> {
        read(self.0.get(format!("{api}/api/v1/versions"))).await
    }

    /// What is published and waited for on `service`'s run.
    ///
    /// # Errors
    /// [`SrsError`].
    pub async fn streams(&self, api: &str, service: &ServiceId) -> Result<Streams, SrsError> {
        let url = format!("{api}/api/v1/streams/?count={PAGE_COUNT}");
        let streams: Streams = read(self.0.get(url)).await?;
        same_run(&streams.head, service)?;
        Ok(streams)
    }

    /// Every client of `service`'s run.
    ///
    /// # Errors
    /// [`SrsError`].
    pub async fn clients(&self, api: &str, service: &ServiceId) -> Result<Vec<Client>, SrsError> {
        let url = format!("{api}/api/v1/clients/?count={PAGE_COUNT}");
        let clients: Clients = read(self.0.get(url)).await?;
        same_run(&clients.head, service)?;
        Ok(clients.clients)
    }

    /// One client; `None` when SRS does not know it.
    ///
    /// # Errors
    /// [`SrsError`].
    pub async fn client(&self, api: &str, service: &ServiceId, client: &ClientId) -> Result<Option<Client>, SrsError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            #[serde(flatten)]
            head: Head,
            #[serde(default)]
            client: Option<Client>,
        }
        let answer: Answer = read(self.0.get(format!("{api}/api/v1/clients/{client}"))).await?;
        if answer.head.code == CODE_CLIENT_NOT_FOUND {
            return Ok(None);
        }
        same_run(&answer.head, service)?;
        Ok(answer.client)
    }

    /// Ends a client, after looking that the run is still the one it belongs to: another run reuses no ids on purpose, but might by chance.
    ///
    /// # Errors
    /// [`SrsError`].
    pub async fn kick(&self, api: &str, service: &ServiceId, client: &ClientId) -> Result<Kicked, SrsError> {
        let head: Head = read(self.0.get(format!("{api}/api/v1/versions"))).await?;
        same_run(&head, service)?;
        let answer: Head = read(self.0.delete(format!("{api}/api/v1/clients/{client}"))).await?;
        match answer.code {
            0 => Ok(Kicked::Ended),
            CODE_CLIENT_NOT_FOUND => Ok(Kicked::Unknown),
            code => Err(SrsError::Away(format!("SRS answered code {code} to a kick").into())),
        }
    }
}

/// An error answer names no run, so only a run that is named can be another one.
fn same_run(head: &Head, service: &ServiceId) -> Result<(), SrsError> {
    if head.code != 0 {
        return Err(SrsError::Away(format!("SRS answered code {}", head.code).into()));
    }
    if head.service == service.as_str() { Ok(()) } else { Err(SrsError::OtherRun) }
}

async fn read<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, SrsError> {
    let mut response = request
        .header(reqwest::header::CONNECTION, "close")
        .send()
        .await
        .map_err(|error| if refused(&error) { SrsError::Gone } else { SrsError::Away(error.into()) })?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| SrsError::Away(error.into()))? {
        if body.len().saturating_add(chunk.len()) > BODY_BYTES_MAX {
            return Err(SrsError::Away("the answer is longer than any node's should be".into()));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|error| SrsError::Away(error.into()))
}

/// Whether the error is the operating system's "connection refused".
fn refused(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        next = cause.source();
    }
    false
}
