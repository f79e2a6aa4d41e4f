//! All SQL ([`pg`]), the migrations that made its tables ([`migrate`]), and what Redis is told of changes ([`cache`]).

pub mod cache;
pub mod migrate;
pub mod pg;
