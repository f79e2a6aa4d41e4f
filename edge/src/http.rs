//! The HTTP front: WHIP, WHEP, sessions, HLS, HTTP-FLV, thumbnails, health.
//!
//! Handlers read a request, ask [`crate::Front`] once, and answer. Which path leads where stands in [`crate::routes`]; what every answer carries
//! (CORS, edge and request ids, a count) is put on in `dress`.

pub(crate) mod cors;
pub(crate) mod dress;
pub(crate) mod endpoint;
pub(crate) mod extract;
pub(crate) mod file;
pub(crate) mod flv;
pub(crate) mod headers;
pub(crate) mod health;
pub(crate) mod hls;
pub(crate) mod hooks;
pub(crate) mod ice_server;
pub(crate) mod pieces;
pub(crate) mod query;
pub(crate) mod sessions;
pub(crate) mod srs_form;
pub(crate) mod srs_json;
pub(crate) mod thumbnail;
pub(crate) mod versions;
pub(crate) mod whep;
pub(crate) mod whip;
