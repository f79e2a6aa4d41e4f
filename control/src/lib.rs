//! control-api: who may do what, who is live, and what the media nodes ask.
//!
//! `http` → `domain` → `store`: handlers extract, authorise, ask and answer; rules are pure; all SQL is in `store`.

pub mod accounts;
pub mod admission;
pub mod app;
pub mod away;
pub mod claiming;
pub mod cli;
pub mod config;
pub mod dialback;
pub mod domain;
pub mod enrol;
pub mod error;
pub mod fleet;
pub mod gossip;
pub mod health;
pub mod hooks;
pub mod http;
pub mod jobs;
pub mod journal;
pub mod kicker;
pub mod limits;
pub mod metrics;
pub mod nodes;
pub mod openapi;
pub mod password;
pub mod placing;
pub mod problem;
pub mod routes;
pub mod secrets;
pub mod sessions;
pub mod srs;
pub mod store;
pub mod streams;
pub mod tokens;
