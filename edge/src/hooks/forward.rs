//! Asks the control-apis, one after the other.

use crate::control::Control;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use reqwest::header;
use secrecy::{ExposeSecret as _, SecretString};
use std::{net::IpAddr, time::Duration};
use tokio::time::{Instant, sleep_until};
use url::Url;

/// How long a control-api has the field to itself before the next is asked as well.
pub(super) const EACH: Duration = Duration::from_millis(300);
/// How long an answer is waited for when the edge could only say no: control-api watches a silent publisher for 2 s before a takeover.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Control-apis asked for one hook at most.
const TRIED_MAX: usize = 8;
/// Largest answer that is passed on, in bytes; control-api's have under 200.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What is sent on.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The path: it may hold a node's secret.
    pub(super) path: SecretString,
    /// The node's address.
    pub(super) from: IpAddr,
    /// The body as it came.
    pub(super) body: Bytes,
    /// `Authorization` of a registration.
    pub(super) bearer: Option<SecretString>,
}

/// What a control-api said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Status.
    pub(crate) status: u16,
    /// `Content-Type`.
    pub(crate) kind: Option<String>,
    /// Body.
    pub(crate) body: Bytes,
}

impl Answer {
    /// Whether SRS takes it as yes.
    pub(super) fn is_yes(&self) -> bool {
        let code = || serde_json::from_slice::<serde_json::Value>(&self.body).ok()?.get("code")?.as_i64();
        self.status == 200 && code() == Some(0)
    }
}

/// The client. Connections are kept: towards control-api, unlike towards SRS, that is safe.
#[derive(Debug)]
pub(super) struct Forward {
    http: reqwest::Client,
    control: Control,
}

impl Forward {
    pub(super) fn new(control: Control) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(EACH)
            .timeout(PATIENCE)
            .pool_idle_timeout(Duration::from_secs(20))
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { http, control })
    }

    /// The first answer. Each control-api that does not answer within [`EACH`], refuses the connection or says 5xx is passed over for the next;
    /// one that is only slow may still answer. `None`: none did, by the end of their turns or, with `patient`, of [`PATIENCE`].
    pub(super) async fn ask(&self, request: &Outgoing, patient: bool) -> Option<Answer> {
        let mut waiting = self.control.origins().into_iter().take(TRIED_MAX);
        let give_up = Instant::now() + PATIENCE;
        let mut asked = FuturesUnordered::new();
        let mut turn = Instant::now();
        loop {
            match waiting.next() {
                Some(origin) => {
                    asked.push(self.one(origin, request));
                    turn = Instant::now() + EACH;
                }
                None if asked.is_empty() => return None,
                // All had their turn and it is over: nobody is left to wait for, unless there is patience.
                None if Instant::now() >= turn && !patient => return None,
                None if Instant::now() >= turn => turn = give_up,
                None => {}
            }
            tokio::select! {
                biased;
                Some(answer) = asked.next() => match answer {
                    Some(answer) => return Some(answer),
                    None => self.control.passed_over(),
                },
                () = sleep_until(turn) => {
                    if turn == give_up {
                        return None;
                    }
                    self.control.passed_over();
                }
            }
        }
    }

    async fn one(&self, origin: Url, request: &Outgoing) -> Option<Answer> {
        let mut url = origin;
        url.set_path(request.path.expose_secret());
        let mut post = self.http.post(url).header(header::CONTENT_TYPE, "application/json");
        post = post.header("x-forwarded-for", request.from.to_canonical().to_string()).body(request.body.clone());
        if let Some(bearer) = &request.bearer {
            post = post.header(header::AUTHORIZATION, bearer.expose_secret());
        }
        // The URL holds the node's secret: it is in no log.
        let told = |error: reqwest::Error| tracing::debug!(error = %error.without_url(), "a control-api took no hook");
        let mut response = post.send().await.map_err(told).ok()?;
        let status = response.status();
        if status.is_server_error() {
            tracing::debug!(%status, "a control-api took no hook");
            return None;
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return None;
            }
            body.extend_from_slice(&chunk);
        }
        Some(Answer { status: status.as_u16(), kind, body: body.into() })
    }
}
