//! All SQL ([`pg`]) and the migrations that made its tables ([`migrate`]).

pub mod migrate;
pub mod pg;
