//! The description of the API, made from the handlers. A test compares its paths with the route table.

use crate::{http, problem::ProblemBody};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        ContentBuilder, Ref, RefOr, ResponseBuilder, Server,
        path::Operation,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// Kinds of failure are told apart by `code`; `docs/errors.md` lists them.
#[derive(OpenApi)]
#[openapi(
    info(title = "Keystone", description = "Who may publish and watch, who is live, and where."),
    modifiers(&Bearer, &Common),
    components(schemas(ProblemBody)),
    paths(
        http::auth::register, http::auth::registration, http::auth::login, http::auth::refresh, http::auth::logout, http::auth::me,
        http::password::change, http::password::reset,
        http::streams::list, http::streams::create, http::streams::get, http::streams::update, http::streams::delete,
        http::streams::rotate_key, http::streams::ingest, http::streams::playback,
        http::tokens::issue, http::tokens::list, http::tokens::revoke,
        http::sessions::list, http::sessions::of_stream, http::sessions::get, http::sessions::kick,
        http::route::route, http::history::broadcasts, http::history::history, http::events::events,
        http::enrol::create, http::enrol::update, http::enrol::rotate_secret, http::enrol::delete,
        http::drain::cordon, http::drain::drain, http::drain::undrain,
        http::nodes::list, http::nodes::get, http::nodes::edges, http::nodes::controls,
        http::users::list, http::users::create, http::users::update, http::users::reset_password, http::audit::list,
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

/// Says of every failure that it is a problem document, and gives operations names that differ.
struct Common;

impl Modify for Common {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for item in openapi.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
            operations.into_iter().flatten().for_each(common);
        }
    }
}

fn common(operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
    operation.operation_id = operation.operation_id.take().map(|name| format!("{tag}_{name}"));
    let problem = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let rest = ResponseBuilder::new().description("Any other failure; `code` says which.").build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(rest));
    for (status, response) in &mut operation.responses.responses {
        if let (false, RefOr::T(response)) = (status.starts_with('2'), response) {
            response.content.insert("application/problem+json".to_owned(), RefOr::T(problem()));
        }
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
