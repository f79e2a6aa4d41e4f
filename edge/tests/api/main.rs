//! The built edge over HTTP: every line of docs/whip-whep.md, SRS's own forms, bad input, and media nodes that fail.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "what a fake refused is said where a failing test shows it")]

mod auth;
mod bad_input;
mod cors;
mod drain;
mod endpoints;
mod fleet;
mod flv;
mod grants;
mod health;
mod helpers;
mod hls;
mod hls_rights;
mod hooks;
mod hooks_order;
mod media;
mod program;
mod rtc;
mod rtmp;
mod sessions;
mod srs_forms;
mod srt;
mod table;
mod thumbnail;
mod trickle;
mod upstream;
mod whep;
mod whip;
