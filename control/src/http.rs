//! Handlers, one file a resource, and what they share: who calls ([`caller`]), bodies ([`body`]), pages ([`page`]).

pub mod audit;
pub mod auth;
pub mod body;
pub mod caller;
pub mod docs;
pub mod drain;
pub mod edges;
pub mod enrol;
pub mod events;
pub mod health;
pub mod heartbeat;
pub mod history;
pub mod hooks;
pub mod internal;
pub mod journal;
pub mod nodes;
pub mod observe;
pub mod once;
pub mod page;
pub mod password;
pub mod public;
pub mod route;
pub mod sessions;
pub mod streams;
pub mod tokens;
pub mod users;
pub mod witness;

use actix_cors::Cors;
use actix_web::http::{Method, header};

/// Seconds for which a browser may keep the answer to a preflight.
const PREFLIGHT_SECONDS: usize = 3600;

/// Lets pages of these origins call the API, with credentials (the refresh cookie).
pub fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allowed_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .allowed_headers(["idempotency-key", "x-keystone", "x-request-id", "last-event-id"])
        .expose_headers(["retry-after", "x-request-id", "location", "idempotency-replayed"])
        .supports_credentials()
        .max_age(PREFLIGHT_SECONDS);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
