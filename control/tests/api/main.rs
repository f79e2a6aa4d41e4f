//! control-api over HTTP: the service that ships, on port 0, with a database and a Redis of its own for each test.

mod helpers;

mod audit;
mod auth;
mod documents;
mod health;
mod limits;
mod once;
mod secrets;
mod stores_away;
mod streams;
mod tokens;
