//! keystone
pub mod media;
