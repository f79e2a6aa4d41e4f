//! Whole clusters from real parts: PostgreSQL, Redis, Caddy, both services, and media nodes.
//!
//! Each test starts its own on shifted ports with its own folder; `deploy/nextest.toml` runs them one at a time. They need the
//! programs that `cargo build --workspace` puts beside the tests.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so, and shows its counts")]

mod all_only;
mod chaos;
mod clients;
mod command;
mod doctor;
mod faults;
mod files;
mod front;
mod observe;
mod operator;
mod path;
mod relay;
mod rtmp;
mod srt;
mod support;
mod two_faced;
