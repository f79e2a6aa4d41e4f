//! Every route of the edge, in one table.

use actix_web::web;

/// Adds the routes. The app data holds [`crate::Front`].
pub fn configure(config: &mut web::ServiceConfig) {
    config.route("/healthz", web::get().to(actix_web::HttpResponse::Ok));
}
