//! Plumbing that both services share: settings, problem documents, telemetry, shutdown, and the doors to the two stores.
//!
//! Nothing here knows streams or sessions; what the services *say* to each other is `proto`'s.

pub mod clock;
pub mod env;
pub mod kv;
pub mod metrics;
pub mod net;
pub mod otlp;
pub mod pg;
pub mod problem;
pub mod random;
pub mod shutdown;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod token;
