//! Measurements: each beside a peer in the same run, or as a cost per unit of work, because bare times say more about the machine than
//! about the program. `bench/README.md` has the figures, how they were taken and on what.
//!
//! Real parts: the edge, control-api, Redis, PostgreSQL, nginx. Played here: media nodes, clients, and for the edge control-api's part, so that
//! what is counted is the edge alone. Everything is on loopback, and every run is bounded in requests and time.

pub mod gossip;
pub mod hls;
pub mod hooks;
pub mod load;
pub mod nginx;
pub mod placement;
pub mod process;
pub mod redis;
pub mod replace;
pub mod report;
pub mod routing;
pub mod rtc;
pub mod rtmp;
pub mod serve;
pub mod sessions;
pub mod whip;
pub mod wire;
pub mod world;
