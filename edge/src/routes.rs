//! Every route of the edge, in one table.
//!
//! Signalling paths stand twice, with and without `/rtc`, for proxies that strip it.

use crate::{
    ApiError,
    http::{
        dress::dress, endpoint, file, flv, health, hls, hooks, sessions, srs_form, srs_json, thumbnail, versions, whep,
        whip,
    },
};
use actix_web::{
    FromRequest, Handler, HttpResponse, Resource, Responder,
    http::Method,
    middleware::from_fn,
    web::{self, ServiceConfig, method, resource, to},
};

/// The folders under which media is fetched over HTTP.
const FOLDERS: [&str; 2] = ["/live", "/hls"];
/// The prefixes under which signalling is reached.
const PREFIXES: [&str; 2] = ["/rtc/v1", "/v1"];

/// Adds the routes. The app data holds [`crate::Front`].
pub fn configure(config: &mut ServiceConfig) {
    config.service(web::scope("").wrap(from_fn(dress)).configure(table).default_service(to(nothing_here)));
}

fn table(config: &mut ServiceConfig) {
    config.service(probe("/healthz").route(web::get().to(health::live)));
    config.service(probe("/readyz").route(web::get().to(health::ready)));
    config.service(probe("/metrics").route(web::get().to(health::metrics)));
    config.service(node("/v1/hooks/srs/{node}/{secret}").route(web::post().to(hooks::srs)));
    config.service(node("/v1/hooks/heartbeat/{node}/{secret}").route(web::post().to(hooks::heartbeat)));
    config.service(node(proto::srs::REGISTER_PATH).route(web::post().to(hooks::register)));
    let versions = resource([proto::srs::VERSIONS_PATH.to_owned(), format!("{}/", proto::srs::VERSIONS_PATH)]);
    config.service(versions.route(web::get().to(versions::get)).default_service(to(health::refuse)));
    // Scopes, because a prefix is compared as text: only what is below it is matched pattern by pattern.
    for folder in FOLDERS {
        config.service(web::scope(folder).configure(media).default_service(to(nothing_here)));
    }
    for prefix in PREFIXES {
        config.service(web::scope(prefix).configure(signalling).default_service(to(nothing_here)));
    }
}

fn signalling(config: &mut ServiceConfig) {
    let whip = endpoint("/whip/{stream}").route(web::get().to(whip::get)).route(web::head().to(whip::get));
    config.service(whip.route(web::post().to(whip::post)));
    let whep = endpoint("/whep/{stream}").route(web::get().to(whep::get)).route(web::head().to(whep::get));
    config.service(whep.route(web::post().to(whep::post)));
    config.service(session("/sessions/{handle}"));
    config.service(srs_form("/whip").route(web::post().to(srs_form::publish)));
    config.service(srs_form("/whep").route(web::post().to(srs_form::play)));
    config.service(srs_form("/whip-play").route(web::post().to(srs_form::play)));
    config.service(srs_form("/publish").route(web::post().to(srs_json::publish)));
    config.service(srs_form("/play").route(web::post().to(srs_json::play)));
}

/// What is fetched: playlists, segments, endless FLV, pictures.
fn media(config: &mut ServiceConfig) {
    config.service(fetched("/{playlist:[^/]+[.]m3u8}", hls::playlist));
    config.service(fetched("/{segment:[^/]+[.](?:ts|m4s|mp4)}", hls::segment));
    config.service(fetched("/{flv:[^/]+[.]flv}", flv::get));
    config.service(fetched("/{thumbnail:[^/]+[.]jpg}", thumbnail::get));
}

fn fetched<H, Args>(path: &str, handler: H) -> Resource
where
    H: Handler<Args>,
    Args: FromRequest + 'static,
    H::Output: Responder + 'static,
{
    let resource = resource(path).route(web::get().to(handler.clone())).route(web::head().to(handler));
    resource.route(options().to(file::options)).default_service(to(file::refuse))
}

fn options() -> actix_web::Route {
    method(Method::OPTIONS)
}

/// `OPTIONS` and 405 of an endpoint with a stream in its path.
fn endpoint(path: &str) -> Resource {
    resource(path).route(options().to(endpoint::options)).default_service(to(endpoint::refuse))
}

fn session(path: &str) -> Resource {
    resource(path)
        .route(web::get().to(sessions::get))
        .route(web::head().to(sessions::get))
        .route(web::patch().to(sessions::patch))
        .route(web::delete().to(sessions::delete))
        .route(options().to(sessions::options))
        .default_service(to(sessions::refuse))
}

/// SRS's own forms answer with and without a slash at the end; SRS itself redirects the second by a 302 that turns a POST into a GET.
fn srs_form(path: &str) -> Resource {
    resource([path.to_owned(), format!("{path}/")])
        .route(options().to(endpoint::options_post))
        .default_service(to(endpoint::refuse_post))
}

fn probe(path: &str) -> Resource {
    resource(path).default_service(to(health::refuse))
}

/// What media nodes call; it answers 404 to everybody else.
fn node(path: &str) -> Resource {
    resource(path).default_service(to(hooks::refuse))
}

async fn nothing_here() -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound)
}

/// The word for a route in metrics and logs: the last fixed part of its pattern, `other` where nothing is mounted.
pub(crate) fn label(pattern: Option<&str>) -> &'static str {
    const LABELS: [(&str, &str); 19] = [
        ("/whip/{stream}", "whip"),
        ("/whep/{stream}", "whep"),
        ("/sessions/{handle}", "session"),
        ("/whip", "srs-whip"),
        ("/whep", "srs-whep"),
        ("/whip-play", "srs-whip-play"),
        ("/publish", "srs-publish"),
        ("/play", "srs-play"),
        ("/hooks/srs/{node}/{secret}", "hook"),
        ("/hooks/heartbeat/{node}/{secret}", "heartbeat"),
        (proto::srs::REGISTER_PATH, "register"),
        (proto::srs::VERSIONS_PATH, "versions"),
        ("/healthz", "healthz"),
        ("/readyz", "readyz"),
        ("/metrics", "metrics"),
        ("/{playlist:[^/]+[.]m3u8}", "hls-playlist"),
        ("/{segment:[^/]+[.](?:ts|m4s|mp4)}", "hls-segment"),
        ("/{flv:[^/]+[.]flv}", "http-flv"),
        ("/{thumbnail:[^/]+[.]jpg}", "thumbnail"),
    ];
    let pattern = pattern.unwrap_or_default().trim_end_matches('/');
    let bare = PREFIXES.into_iter().chain(FOLDERS).find_map(|prefix| pattern.strip_prefix(prefix)).unwrap_or(pattern);
    LABELS.into_iter().find(|(known, _)| *known == bare).map_or("other", |(_, label)| label)
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn labels_are_a_closed_set() {
        assert_eq!(label(Some("/rtc/v1/whip/{stream}")), "whip");
        assert_eq!(label(Some("/v1/whip/")), "srs-whip");
        assert_eq!(label(Some("/v1/sessions/{handle}")), "session");
        assert_eq!(label(Some("/v1/hooks/srs/{node}/{secret}")), "hook");
        assert_eq!(label(Some("/api/v1/srs/register")), "register");
        assert_eq!(label(Some("/healthz")), "healthz");
        assert_eq!(label(Some("/rtc/v1/whip/secret")), "other");
        assert_eq!(label(None), "other");
    }
}
