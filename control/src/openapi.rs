//! The description of the API, made from the handlers. A test compares its paths with the route table.

use crate::{http, problem::ProblemBody};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Server,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// Kinds of failure are told apart by `code`; `docs/errors.md` lists them.
#[derive(OpenApi)]
#[openapi(
    info(title = "Keystone", description = "Who may publish and watch, who is live, and where."),
    modifiers(&Bearer),
    components(schemas(ProblemBody)),
    paths(
        http::auth::register, http::auth::login, http::auth::refresh, http::auth::logout, http::auth::me,
        http::streams::list, http::streams::create, http::streams::get, http::streams::update, http::streams::delete,
        http::streams::rotate_key, http::streams::ingest, http::streams::playback,
        http::tokens::issue, http::tokens::list, http::tokens::revoke,
        http::sessions::list, http::sessions::of_stream, http::sessions::get, http::sessions::kick,
        http::history::broadcasts, http::history::history, http::events::events,
        http::nodes::list, http::nodes::get, http::nodes::edges, http::nodes::controls,
        http::admin::list_users, http::admin::list_audit,
    )
)]
#[derive(Debug)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = openapi.components.get_or_insert_with(Default::default);
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The description, for clients that reach the API under `public_path`.
#[must_use]
pub fn describe(public_path: &str) -> utoipa::openapi::OpenApi {
    let mut api = Api::openapi();
    env!("CARGO_PKG_VERSION").clone_into(&mut api.info.version);
    api.servers = Some(vec![Server::new(if public_path.is_empty() { "/" } else { public_path })]);
    api
}
