//! `keystone`: a whole cluster on one machine, from real parts, for development, demonstration and tests.
//!
//! [`cluster::Cluster::start`] is the one entry that `keystone up`, `keystone demo` and whole-system tests share.

pub mod api;
pub mod caddy;
pub mod chaos;
pub mod child;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod data;
pub mod demo;
pub mod demo_line;
pub mod devnode;
pub mod doctor;
pub mod dotenv;
pub mod hostile;
pub mod matrix;
pub mod media;
pub mod node;
pub mod observe;
pub mod operator;
pub mod plan;
pub mod ports;
pub mod postgres;
pub mod ready;
pub mod redis;
pub mod report;
pub mod run_devnode;
pub mod say;
pub mod secrets;
pub mod services;
pub mod supervisor;
pub mod tally;
pub mod template;
pub mod test_stores;
pub mod tools;
pub mod up;
pub mod users;
