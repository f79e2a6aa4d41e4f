//! The HTTP half of WHIP and WHEP: POST an offer, keep `Location`, DELETE it.

use std::time::Duration;

use reqwest::{StatusCode, Url, header};

/// Whole time for one POST or DELETE; a gateway that asks a hook server first needs a second or two.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest part of a refusal kept for the error, bytes.
const DETAIL_BYTES_MAX: usize = 2_000;

/// Why a session did not start, or did not end as asked.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The URL does not parse or has no host.
    #[error("{0:?} is no usable URL")]
    Url(String),
    /// Nothing answered: connection refused, timed out, or closed without a word (SRS 5 refuses that way).
    #[error("no answer: {0}")]
    NoAnswer(#[source] reqwest::Error),
    /// The server said no.
    #[error("refused with {status}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The stable `code` of a problem document, when there is one.
        code: Option<String>,
        /// `detail` or `title` of a problem document, else the start of the body.
        detail: String,
        /// `Retry-After` in seconds, when given.
        retry_after: Option<u64>,
    },
    /// 201 without an SDP answer or `Location` that can be used.
    #[error("unusable answer: {0}")]
    Answer(String),
    /// str0m refused what was asked of it.
    #[error("WebRTC: {0}")]
    Rtc(#[from] str0m::RtcError),
    /// A socket could not be made.
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
    /// `ffmpeg` is missing or gave up.
    #[error("{0}")]
    Source(String),
    /// A condition did not come true in time.
    #[error("not within {limit:?}: {stats:?}")]
    Timeout {
        /// How long was waited.
        limit: Duration,
        /// The counters at the end of it.
        stats: super::Stats,
    },
    /// The session ended before a condition came true.
    #[error("the session ended ({0}) before that")]
    Ended(&'static str),
}

impl MediaError {
    /// Without the URL: its query may hold a token.
    fn no_answer(error: reqwest::Error) -> Self {
        Self::NoAnswer(error.without_url())
    }
}

/// Where a session lives and what opens it.
#[derive(Clone)]
pub(crate) struct Endpoint {
    http: reqwest::Client,
    token: Option<String>,
}

/// A 201.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) sdp: String,
    pub(crate) session: Url,
    /// `X-Keystone-Edge`: which edge answered, behind a load balancer.
    pub(crate) edge: Option<String>,
}

impl std::fmt::Debug for Endpoint {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("token", &self.token.is_some()).finish_non_exhaustive()
    }
}

impl Endpoint {
    pub(crate) fn new(token: Option<String>) -> Result<Self, MediaError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(MediaError::no_answer)?;
        Ok(Self { http, token })
    }

    /// POSTs the offer.
    pub(crate) async fn offer(&self, url: &Url, sdp: String) -> Result<Answer, MediaError> {
        let request = self.http.post(url.clone()).header(header::CONTENT_TYPE, "application/sdp").body(sdp);
        let response = self.authorised(request).send().await.map_err(MediaError::no_answer)?;
        if response.status() != StatusCode::CREATED {
            return Err(refusal(response).await);
        }
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| MediaError::Answer("201 without Location".into()))?;
        // A relative reference is resolved against the URL that answered, after redirects.
        let session = response.url().join(location).map_err(|error| MediaError::Answer(error.to_string()))?;
        let edge = response.headers().get("x-keystone-edge").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let sdp = response.text().await.map_err(MediaError::no_answer)?;
        Ok(Answer { sdp, session, edge })
    }

    /// DELETEs the session; one that is gone already counts as deleted.
    pub(crate) async fn delete(&self, session: &Url) -> Result<(), MediaError> {
        let request = self.authorised(self.http.delete(session.clone()));
        let response = request.send().await.map_err(MediaError::no_answer)?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(()),
            status if status.is_success() => Ok(()),
            _ => Err(refusal(response).await),
        }
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// Reads a refusal: problem+json where there is one.
async fn refusal(response: reqwest::Response) -> MediaError {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.text().await.unwrap_or_default();
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let text = |name: &str| problem.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let detail = text("detail").or_else(|| text("title")).unwrap_or(body);
    let detail = detail.chars().take(DETAIL_BYTES_MAX).collect();
    MediaError::Refused { status, code: text("code"), detail, retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Answers one request with `head` and `body`; gives what was asked.
    async fn server(head: &'static str, body: &'static str) -> (Url, tokio::task::JoinHandle<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/rtc/v1/whip/s", listener.local_addr().unwrap())).unwrap();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4_096];
            let read = stream.read(&mut asked).await.unwrap();
            let answer = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        (url, task)
    }

    #[tokio::test]
    async fn a_refusal_carries_the_problem() {
        let head = "HTTP/1.1 409 Conflict\r\nRetry-After: 2\r\nContent-Type: application/problem+json";
        let (url, asked) = server(head, r#"{"code":"not_live","title":"T","detail":"nobody publishes"}"#).await;
        let endpoint = Endpoint::new(Some("secret".into())).unwrap();
        let error = endpoint.offer(&url, "v=0".into()).await.unwrap_err();
        let MediaError::Refused { status, code, detail, retry_after } = error else { panic!("{error:?}") };
        assert_eq!((status, code.as_deref(), retry_after), (409, Some("not_live"), Some(2)));
        assert_eq!(detail, "nobody publishes");
        let asked = asked.await.unwrap().to_ascii_lowercase();
        assert!(asked.contains("authorization: bearer secret\r\n") && asked.contains("content-type: application/sdp"));
    }

    #[tokio::test]
    async fn a_location_may_be_relative_or_absolute() {
        for (location, expected) in [
            ("sessions/1", "/rtc/v1/whip/sessions/1"),
            ("/rtc/v1/whip/?action=delete&session=a:b", "/rtc/v1/whip/?action=delete&session=a:b"),
            ("https://edge.example/rtc/v1/sessions/h", "https://edge.example/rtc/v1/sessions/h"),
        ] {
            let head: &'static str = String::leak(format!("HTTP/1.1 201 Created\r\nLocation: {location}"));
            let (url, _) = server(head, "v=0").await;
            let answer = Endpoint::new(None).unwrap().offer(&url, "v=0".into()).await.unwrap();
            let expected = url.join(expected).unwrap();
            assert_eq!((answer.session, answer.sdp.as_str()), (expected, "v=0"));
        }
        let (url, _) = server("HTTP/1.1 201 Created", "v=0").await;
        let answer = Endpoint::new(None).unwrap().offer(&url, "v=0".into()).await;
        assert!(matches!(answer, Err(MediaError::Answer(_))));
    }
}
