//! Client of a node's file server: one file, bounded in size and time.
//!
//! Nothing of a client's request gets here but names that were parsed. One connection a request: SRS says `Connection: Close` and keeps it open
//! all the same (docs/srs.md).

use crate::{
    front::Grant,
    metrics::{
        Metrics,
        hls::{Fetched, File},
    },
    srs::{SrsError, classify},
};
use bytes::{Bytes, BytesMut};
use reqwest::{StatusCode, header};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// How long a node may take to accept the connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Fetches under way at once: cached files are fetched once, so this many streams may be at a boundary in the same moment.
const FETCHES_MAX: usize = 128;
/// The folder of streams at a node: the application's name.
const FOLDER: &str = proto::srs::hook::APP;

/// The client; one for all nodes.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    http: reqwest::Client,
    room: Arc<Semaphore>,
    metrics: Metrics,
}

/// How much of a file is read, and how long that may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) kind: File,
    pub(super) bytes: usize,
    pub(super) within: Duration,
}

impl Origin {
    /// Builds it.
    ///
    /// # Errors
    /// When TLS roots cannot be read; plain HTTP is all that is used.
    pub(crate) fn new(metrics: Metrics) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_MAX)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { http, room: Arc::new(Semaphore::new(FETCHES_MAX)), metrics })
    }

    /// Reads one file of a node; `None` when it has none of that name.
    pub(super) async fn get(&self, at: &str, file: &str, bounds: Bounds) -> Result<Option<Bytes>, SrsError> {
        let read = tokio::time::timeout(bounds.within, self.read(at, file, bounds.bytes)).await;
        let read = read.unwrap_or(Err(SrsError::TimedOut));
        self.metrics.hls().fetched(
            bounds.kind,
            match &read {
                Ok(Some(_)) => Fetched::Found,
                Ok(None) => Fetched::Absent,
                Err(_) => Fetched::Failed,
            },
        );
        read
    }

    async fn read(&self, at: &str, file: &str, limit: usize) -> Result<Option<Bytes>, SrsError> {
        let _room = self.room.acquire().await.map_err(|_| SrsError::Unreachable)?;
        let request = self.http.get(format!("http://{at}/{FOLDER}/{file}")).header(header::CONNECTION, "close");
        let mut response = request.send().await.map_err(|error| classify(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(SrsError::BadAnswer("status is neither 200 nor 404")),
        }
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        if announced.is_some_and(|announced| announced > limit) {
            return Err(SrsError::BadAnswer("over the size limit"));
        }
        let mut body = BytesMut::with_capacity(announced.unwrap_or(0));
        while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
            if body.len() + chunk.len() > limit {
                return Err(SrsError::BadAnswer("over the size limit"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body.freeze()))
    }
}

impl Origin {
    /// Opens a stream's HTTP-FLV and waits for its first bytes, which SRS sends when there is media. The session's ticket is all that the node learns of
    /// its right.
    pub(crate) async fn flv(&self, at: &str, grant: &Grant) -> Result<(Bytes, reqwest::Response), SrsError> {
        let (stream, ticket) = (grant.stream(), grant.ticket());
        let request = self
            .http
            .get(format!("http://{at}/{FOLDER}/{stream}.flv?{}={ticket}", proto::ticket::PARAM))
            .header(header::CONNECTION, "close")
            .header("X-Forwarded-For", grant.wanted().client.to_string());
        let open = async {
            let mut response = request.send().await.map_err(|error| classify(&error))?;
            if response.status() != StatusCode::OK {
                return Err(SrsError::BadAnswer("status is not 200"));
            }
            let first = response.chunk().await.map_err(|error| classify(&error))?.ok_or(SrsError::HungUp)?;
            Ok((first, response))
        };
        tokio::time::timeout_at(grant.deadline(), open).await.unwrap_or(Err(SrsError::TimedOut))
    }
}
