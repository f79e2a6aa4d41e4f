//! A client of control-api's REST interface, as little as the commands here need.

use crate::ready::root_cause;
use proto::{
    api::{AccessToken, CreateStream, CreateToken, IssuedToken, Login, NewStream, Node, Page, Register, Stream},
    fleet::EdgeInfo,
    ids::{StreamId, TokenId},
};
use reqwest::{Method, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::time::Duration;

/// Longest wait for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Characters of an unexpected body that are shown.
const BODY_SHOWN: usize = 2_000;

/// A call did not give what it should.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer.
    #[error("{method} {url}: {why}")]
    Transport {
        /// What was called.
        method: Method,
        /// Where.
        url: String,
        /// Why not.
        why: String,
    },
    /// An answer of another kind.
    #[error("{method} {url}: {status}: {body}")]
    Status {
        /// What was called.
        method: Method,
        /// Where.
        url: String,
        /// The status.
        status: StatusCode,
        /// The begin of the body, usually problem+json.
        body: String,
    },
    /// The body is not what the API promises.
    #[error("{url}: the answer is not understood: {why}")]
    Body {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
}

/// One user's view of the API.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    bearer: Option<String>,
}

impl std::fmt::Debug for Api {
    /// Without the bearer.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Api {
    /// An anonymous client; `base` is what stands before `/v1`, such as `http://127.0.0.1:8880/api`.
    ///
    /// # Panics
    /// When the system has no randomness for TLS.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let http =
            reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN).build().expect("a plain client can be built");
        Self { http, base: base.trim_end_matches('/').to_owned(), bearer: None }
    }

    /// The same address as another user.
    ///
    /// # Errors
    /// [`ApiError`]; 401 for a wrong password.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<Self, ApiError> {
        let body = Login { email: email.to_owned(), password: password.to_owned() };
        let answer: AccessToken = self.send(Method::POST, "/v1/auth/login", Some(&body)).await?;
        Ok(Self { bearer: Some(answer.access_token), ..self.clone() })
    }

    /// The same address with an access token got elsewhere.
    #[must_use]
    pub fn with_bearer(&self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..self.clone() }
    }

    /// Any call, its answer as JSON; `null` where there is no body.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn value(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let response = self.call(method, path, body).await?;
        let url = response.url().to_string();
        let understood = |why: String| ApiError::Body { url: url.clone(), why };
        let bytes = response.bytes().await.map_err(|error| understood(root_cause(&error)))?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| understood(error.to_string()))
    }

    /// Makes a user; the address must be new.
    ///
    /// # Errors
    /// [`ApiError`]; 409 for a known address.
    pub async fn register(&self, email: &str, password: &str, display_name: &str) -> Result<(), ApiError> {
        let body = Register {
            email: email.to_owned(),
            password: password.to_owned(),
            display_name: Some(display_name.to_owned()),
        };
        self.call(Method::POST, "/v1/auth/register", Some(&body)).await.map(|_| ())
    }

    /// Makes a stream.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create_stream(&self, body: &CreateStream) -> Result<NewStream, ApiError> {
        self.send(Method::POST, "/v1/streams", Some(body)).await
    }

    /// Makes a token for one of our streams.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create_token(&self, stream: &StreamId, body: &CreateToken) -> Result<IssuedToken, ApiError> {
        self.send(Method::POST, &format!("/v1/streams/{stream}/tokens"), Some(body)).await
    }

    /// Revokes a token of one of our streams.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn revoke_token(&self, stream: &StreamId, token: &TokenId) -> Result<(), ApiError> {
        self.call(Method::DELETE, &format!("/v1/streams/{stream}/tokens/{token}"), None::<&()>).await.map(|_| ())
    }

    /// One stream, with who publishes and how many watch.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn stream(&self, stream: &StreamId) -> Result<Stream, ApiError> {
        self.send(Method::GET, &format!("/v1/streams/{stream}"), None::<&()>).await
    }

    /// Removes a stream of ours.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_stream(&self, stream: &StreamId) -> Result<(), ApiError> {
        self.call(Method::DELETE, &format!("/v1/streams/{stream}"), None::<&()>).await.map(|_| ())
    }

    /// The media nodes, for administrators.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn nodes(&self) -> Result<Page<Node>, ApiError> {
        self.send(Method::GET, "/v1/nodes", None::<&()>).await
    }

    /// The edges that are alive, for administrators.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn edges(&self) -> Result<Page<EdgeInfo>, ApiError> {
        self.send(Method::GET, "/v1/edges", None::<&()>).await
    }

    async fn send<B: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<A, ApiError> {
        let response = self.call(method, path, body).await?;
        let url = response.url().to_string();
        response.json().await.map_err(|error| ApiError::Body { url, why: root_cause(&error) })
    }

    async fn call<B: Serialize>(&self, method: Method, path: &str, body: Option<&B>) -> Result<Response, ApiError> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.clone(), &url);
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| ApiError::Transport {
            method: method.clone(),
            url: url.clone(),
            why: root_cause(&error),
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.text().await.unwrap_or_default().chars().take(BODY_SHOWN).collect();
        Err(ApiError::Status { method, url, status, body })
    }
}
