//! The whole route table: method, path, who may. Printed into `docs/rights.md`, walked by a test.
//!
//! A handler's first argument is its guard ([`crate::http::caller`]); a row whose right is not its handler's guard's does not start.

use crate::{
    error::ApiError,
    http::{
        self,
        caller::{Guarded, InOrder},
    },
};
use actix_web::{Handler, HttpRequest, Resource, Responder, Route, http::Method, web};
use std::{collections::BTreeMap, fmt, time::Duration};
use tracing::Instrument as _;

/// How long an answer may take. Stores that hang are found out sooner; hooks answer within their own, shorter limits.
pub const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Anybody.
    Anyone,
    /// Whoever is signed in.
    User,
    /// The owner of the stream or session in the path, and admins.
    Owner,
    /// Admins.
    Admin,
    /// The media node in the path, by its secret.
    Node,
    /// An edge of this cluster, by a bearer made from the cluster secret.
    Internal,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anyone => "anyone",
            Self::User => "user",
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Node => "node",
            Self::Internal => "internal",
        })
    }
}

/// One route.
pub struct Row {
    /// Its method.
    pub method: Method,
    /// Its path pattern.
    pub path: &'static str,
    /// Who may use it.
    pub right: Right,
    route: Route,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.method, self.path, self.right)
    }
}

fn row<H, Args>(method: Method, path: &'static str, right: Right, handler: H) -> Row
where
    H: Handler<Args>,
    Args: Guarded + 'static,
    H::Output: Responder + 'static,
{
    // At start, in every test: never in answer to a request.
    assert_eq!(Args::RIGHT, right, "{method} {path}: the table and the handler's guard disagree");
    let route = web::method(method.clone()).to(move |InOrder(args): InOrder<Args>| answer(handler.clone(), args));
    Row { route, method, path, right }
}

/// Does a handler's work in a task of its own: a client that hangs up half-way does not leave a change in Postgres that Redis and live
/// sessions were never told of.
async fn answer<H, Args>(handler: H, args: Args) -> Result<H::Output, ApiError>
where
    H: Handler<Args>,
    Args: Guarded + 'static,
    H::Output: Responder + 'static,
{
    let work = async move { handler.call(args).await }.in_current_span();
    let done = tokio::time::timeout(ANSWER_MAX, actix_web::rt::spawn(work)).await;
    done.map_err(|_| ApiError::TimedOut)?.map_err(ApiError::internal)
}

/// The table. Of two patterns that match one path the longer stands first.
#[must_use]
#[rustfmt::skip]
pub fn table() -> Vec<Row> {
    use Right::*;
    vec![
        row(Method::GET, "/healthz", Anyone, http::health::healthz),
        row(Method::GET, "/readyz", Anyone, http::health::readyz),
        row(Method::GET, "/metrics", Anyone, http::health::metrics),
        row(Method::GET, "/openapi.json", Anyone, http::docs::describe),
        row(Method::GET, "/docs", Anyone, http::docs::index),
        row(Method::GET, "/docs/{file:.*}", Anyone, http::docs::page),
        row(Method::POST, "/v1/auth/register", Anyone, http::auth::register),
        row(Method::GET, "/v1/auth/register", Anyone, http::auth::registration),
        row(Method::POST, "/v1/auth/login", Anyone, http::auth::login),
        row(Method::POST, "/v1/auth/refresh", Anyone, http::auth::refresh),
        row(Method::POST, "/v1/auth/logout", Anyone, http::auth::logout),
        row(Method::GET, "/v1/auth/me", User, http::auth::me),
        row(Method::POST, "/v1/auth/password", User, http::password::change),
        row(Method::POST, "/v1/auth/password:reset", Anyone, http::password::reset),
        row(Method::GET, "/v1/streams", Anyone, http::streams::list),
        row(Method::POST, "/v1/streams", User, http::streams::create),
        row(Method::POST, "/v1/streams/{stream}:rotate-key", Owner, http::streams::rotate_key),
        row(Method::GET, "/v1/streams/{stream}", Anyone, http::streams::get),
        row(Method::PATCH, "/v1/streams/{stream}", Owner, http::streams::update),
        row(Method::DELETE, "/v1/streams/{stream}", Owner, http::streams::delete),
        row(Method::GET, "/v1/streams/{stream}/ingest", Owner, http::streams::ingest),
        row(Method::GET, "/v1/streams/{stream}/playback", Anyone, http::streams::playback),
        row(Method::POST, "/v1/streams/{stream}/tokens", Owner, http::tokens::issue),
        row(Method::GET, "/v1/streams/{stream}/tokens", Owner, http::tokens::list),
        row(Method::DELETE, "/v1/streams/{stream}/tokens/{token}", Owner, http::tokens::revoke),
        row(Method::GET, "/v1/users", Admin, http::users::list),
        row(Method::POST, "/v1/users", Admin, http::users::create),
        row(Method::POST, "/v1/users/{user}:reset-password", Admin, http::users::reset_password),
        row(Method::PATCH, "/v1/users/{user}", Admin, http::users::update),
        row(Method::GET, "/v1/audit", Admin, http::audit::list),
        row(Method::GET, "/v1/sessions", User, http::sessions::list),
        row(Method::GET, "/v1/sessions/{session}", User, http::sessions::get),
        row(Method::DELETE, "/v1/sessions/{session}", User, http::sessions::kick),
        row(Method::GET, "/v1/streams/{stream}/route", Owner, http::route::route),
        row(Method::GET, "/v1/streams/{stream}/sessions", Owner, http::sessions::of_stream),
        row(Method::GET, "/v1/streams/{stream}/broadcasts", Owner, http::history::broadcasts),
        row(Method::GET, "/v1/streams/{stream}/history", Owner, http::history::history),
        row(Method::GET, "/v1/events", User, http::events::events),
        row(Method::GET, "/v1/nodes", Admin, http::nodes::list),
        row(Method::POST, "/v1/nodes", Admin, http::enrol::create),
        row(Method::POST, "/v1/nodes/{node}:rotate-secret", Admin, http::enrol::rotate_secret),
        row(Method::POST, "/v1/nodes/{node}:cordon", Admin, http::drain::cordon),
        row(Method::POST, "/v1/nodes/{node}:drain", Admin, http::drain::drain),
        row(Method::POST, "/v1/nodes/{node}:undrain", Admin, http::drain::undrain),
        row(Method::GET, "/v1/nodes/{node}", Admin, http::nodes::get),
        row(Method::PATCH, "/v1/nodes/{node}", Admin, http::enrol::update),
        row(Method::DELETE, "/v1/nodes/{node}", Admin, http::enrol::delete),
        row(Method::GET, "/v1/edges", Admin, http::nodes::edges),
        row(Method::GET, "/v1/controls", Admin, http::nodes::controls),
        row(Method::POST, "/internal/v1/claims", Internal, http::internal::reserve),
        row(Method::POST, "/internal/v1/claims:release", Internal, http::internal::release),
        row(Method::POST, "/internal/v1/journal", Internal, http::journal::hand_in),
        row(Method::POST, "/internal/v1/keys:verify", Internal, http::internal::verify_key),
        row(Method::GET, "/internal/v1/streams/{stream}", Internal, http::internal::stream),
        row(Method::GET, "/internal/v1/route/{stream}", Internal, http::internal::route),
        row(Method::POST, "/internal/v1/nodes/{node}:report", Internal, http::witness::report),
        row(Method::POST, "/internal/v1/nodes/{node}:look", Internal, http::witness::look),
        row(Method::POST, "/internal/v1/sessions", Internal, http::edges::tell),
        row(Method::GET, "/internal/v1/sessions/{session}", Internal, http::internal::session),
        row(Method::POST, "/v1/hooks/srs/{node}/{secret}", Node, http::hooks::srs),
        row(Method::POST, "/v1/hooks/heartbeat/{node}/{secret}", Node, http::heartbeat::beat),
        row(Method::POST, "/api/v1/srs/register", Node, http::heartbeat::register),
    ]
}

/// Mounts every row, and problem documents for what is in no row.
pub fn configure(app: &mut web::ServiceConfig) {
    app.app_data(web::QueryConfig::default().error_handler(|error, _| ApiError::bad_request(error.to_string()).into()));
    app.app_data(web::PathConfig::default().error_handler(|_, _| ApiError::RouteNotFound.into()));
    let mut order = Vec::new();
    let mut by_path: BTreeMap<&'static str, Vec<Row>> = BTreeMap::new();
    for row in table() {
        if !order.contains(&row.path) {
            order.push(row.path);
        }
        by_path.entry(row.path).or_default().push(row);
    }
    for path in order {
        app.service(resource(path, by_path.remove(path).unwrap_or_default()));
    }
    app.default_service(web::to(async || Err::<String, _>(ApiError::RouteNotFound)));
}

fn resource(path: &'static str, rows: Vec<Row>) -> Resource {
    let allow = rows.iter().map(|row| row.method.as_str()).collect::<Vec<_>>().join(", ");
    let refuse = move |_: HttpRequest| {
        let allow = allow.clone();
        async move { Err::<String, _>(ApiError::MethodNotAllowed { allow }) }
    };
    let resource = rows.into_iter().fold(web::resource(path), |resource, row| resource.route(row.route));
    resource.default_service(web::to(refuse))
}
