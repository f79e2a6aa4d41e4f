//! edge-gateway: the address publishers and viewers reach.
//!
//! `http` turns requests into calls of [`Front`]; `Front` admits (`admit`), places (`nodes`, `stream`), reserves at control-api (`control`)
//! and opens the session at its media node (`srs`). `replica` holds what the edge keeps of Redis, so that it goes on while Redis is away.
//! Only [`app`] knows which parts are wired together, only [`config`] reads the environment.

pub mod admit;
pub mod app;
pub mod config;
pub mod control;
pub mod error;
pub mod front;
mod hls;
pub mod hooks;
pub mod http;
pub mod leases;
pub mod metrics;
pub mod nodes;
pub mod registration;
pub mod replica;
pub mod routes;
pub mod rtc;
pub mod rtmp;
pub mod srs;
pub mod srt;
pub mod stream;
mod traffic;

pub use app::App;
pub use config::Config;
pub use error::ApiError;
pub use front::Front;
