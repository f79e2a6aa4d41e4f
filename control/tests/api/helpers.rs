//! Starts the service and speaks HTTP to it.

mod database;

pub(crate) use database::Database;

use control::{app::App, config::Config};
use kit::{env::Env, testing::TestRedis};
use proto::api::{AccessToken, NewStream};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{sync::oneshot, task::JoinHandle};

/// The one `JWT_SECRET` of all tests: the template's secrets are sealed under it.
pub(crate) const JWT_SECRET: &str = "a test's own secret, 32 bytes or more";
/// A password that is long enough.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A running control-api.
pub(crate) struct Control {
    /// `http://127.0.0.1:port`.
    pub(crate) url: String,
    /// What its handlers share.
    pub(crate) state: Arc<control::app::State>,
    http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Stores of one test, and one control-api on them.
pub(crate) struct Test {
    /// The first control-api.
    pub(crate) control: Control,
    /// Its Redis.
    pub(crate) redis: TestRedis,
    /// Its database.
    pub(crate) database: Database,
}

/// An answer read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status.
    pub(crate) status: StatusCode,
    /// Headers.
    pub(crate) headers: HeaderMap,
    /// Body as JSON; null when it is none.
    pub(crate) body: Value,
}

impl Answer {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Checks status and code of a problem document.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.body["type"], format!("urn:keystone:{code}"));
        self
    }

    /// Checks the status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// Reads the body.
    #[track_caller]
    pub(crate) fn read<T: serde::de::DeserializeOwned>(self) -> T {
        serde_json::from_value(self.body.clone()).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Their e-mail.
    pub(crate) email: String,
    /// Access and refresh token, and who they are.
    pub(crate) token: AccessToken,
}

impl Test {
    /// Stores and a control-api with the settings that tests need.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more settings.
    pub(crate) async fn start_with(more: &[(&str, &str)]) -> Self {
        kit::tls::install_provider();
        let redis = TestRedis::start();
        let database = Database::clone_template().await;
        let control = Control::start(&database.url, &redis.url(), more).await;
        Self { control, redis, database }
    }

    /// Another control-api on the same stores.
    pub(crate) async fn another(&self, more: &[(&str, &str)]) -> Control {
        Control::start(&self.database.url, &self.redis.url(), more).await
    }

    /// Stops everything in order.
    pub(crate) async fn stop(self) {
        self.control.stop().await;
        self.database.drop_it().await;
    }
}

/// Settings of a control-api on these stores; later ones win.
pub(crate) fn settings(database: &str, redis: &str, more: &[(&str, &str)]) -> Config {
    let own = [
        ("DATABASE_URL", database),
        ("DATABASE_POOL_SIZE", "4"),
        ("REDIS_URL", redis),
        ("JWT_SECRET", JWT_SECRET),
        ("CONTROL_LISTEN", "127.0.0.1:0"),
        ("CONTROL_WORKERS", "2"),
        ("NODES_BOOTSTRAP", "n1:node-one-secret,n2:node-two-secret"),
    ];
    let vars = own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_env(Env::new(vars)).unwrap()
}

impl Control {
    /// Starts one.
    pub(crate) async fn start(database: &str, redis: &str, more: &[(&str, &str)]) -> Self {
        let app = App::build(settings(database, redis, more)).await.unwrap();
        let url = format!("http://127.0.0.1:{}", app.port());
        let state = Arc::clone(app.state());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = actix_web::rt::spawn(app.run(async move {
            stopped.await.ok();
        }));
        Self { url, state, http: reqwest::Client::new(), stop: Some(stop), task }
    }

    /// Asks it to stop and waits for that.
    pub(crate) async fn stop(mut self) {
        self.stop.take().map(|stop| stop.send(()));
        (&mut self.task).await.unwrap().unwrap();
    }

    /// A request to a path.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// `GET`, signed in or not.
    pub(crate) async fn get(&self, path: &str, who: Option<&Session>) -> Answer {
        send(signed(self.request(Method::GET, path), who)).await
    }

    /// `POST` of JSON.
    pub(crate) async fn post(&self, path: &str, who: Option<&Session>, body: Value) -> Answer {
        send(signed(self.request(Method::POST, path), who).json(&body)).await
    }

    /// `PATCH` of JSON.
    pub(crate) async fn patch(&self, path: &str, who: Option<&Session>, body: Value) -> Answer {
        send(signed(self.request(Method::PATCH, path), who).json(&body)).await
    }

    /// `DELETE`.
    pub(crate) async fn delete(&self, path: &str, who: Option<&Session>) -> Answer {
        send(signed(self.request(Method::DELETE, path), who)).await
    }

    /// Registers somebody and signs them in.
    pub(crate) async fn user(&self, name: &str) -> Session {
        let email = format!("{name}@example.org");
        self.post("/v1/auth/register", None, json!({ "email": email, "password": PASSWORD })).await.is(201);
        self.login(&email).await
    }

    /// Signs somebody in.
    pub(crate) async fn login(&self, email: &str) -> Session {
        let answer = self.post("/v1/auth/login", None, json!({ "email": email, "password": PASSWORD })).await.is(200);
        Session { email: email.to_owned(), token: answer.read() }
    }

    /// Registers somebody, makes them an admin, and signs them in.
    pub(crate) async fn admin(&self, name: &str) -> Session {
        let user = self.user(name).await;
        let client = self.state.pg.get().await.unwrap();
        client
            .batch_execute(
                "UPDATE users SET role = 'admin' WHERE email = 'EMAIL'".replace("EMAIL", &user.email).as_str(),
            )
            .await
            .unwrap();
        self.login(&user.email).await
    }

    /// Makes a stream.
    pub(crate) async fn stream(&self, who: &Session, visibility: &str) -> NewStream {
        let body = json!({ "title": "A stream", "visibility": visibility });
        self.post("/v1/streams", Some(who), body).await.is(201).read()
    }

    /// The value of a metric line that begins so; 0 when there is none.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        let text = self.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let value = text.lines().find_map(|found| found.strip_prefix(line)?.split_whitespace().last()?.parse().ok());
        value.unwrap_or_default()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Adds the bearer.
pub(crate) fn signed(request: RequestBuilder, who: Option<&Session>) -> RequestBuilder {
    match who {
        Some(who) => request.bearer_auth(&who.token.access_token),
        None => request,
    }
}

/// Sends and reads.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.unwrap();
    Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

/// Waits until `check` gives something, at most 10 s.
pub(crate) async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = check().await {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("never happened: {what}");
}
