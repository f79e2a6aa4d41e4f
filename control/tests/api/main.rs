//! control-api over HTTP: the service that ships, on port 0, with a database and a Redis of its own for each test.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by its panic")]

mod helpers;

mod accounts;
mod audit;
mod auth;
mod away;
mod claims;
mod claims_bound;
mod claims_placing;
mod claims_rules;
mod direct;
mod documents;
mod edge;
mod edge_sessions;
mod events;
mod gossip;
mod health;
mod health_drain;
mod health_nodes;
mod hooks;
mod limits;
mod media;
mod nodes;
mod nodes_dialback;
mod nodes_enrolment;
mod nodes_heartbeat;
mod once;
mod route;
mod secrets;
mod sessions;
mod stores_away;
mod streams;
mod tokens;
