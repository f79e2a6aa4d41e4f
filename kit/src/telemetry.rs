//! Logs: one subscriber, JSON lines for machines or text for people, filtered by `RUST_LOG`.

use crate::otlp::{self, Flush, Otlp};
use std::str::FromStr;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The shape of log lines, `LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For a person at a terminal.
    Text,
}

impl FromStr for LogFormat {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err("must be `json` or `text`"),
        }
    }
}

/// What is logged when `RUST_LOG` does not say: our own news, and only warnings of libraries.
pub const FILTER_DEFAULT: &str = "warn,control=info,edge=info,kit=info,keystone=info";

/// Starts logging to standard error, and sending traces where `otlp` says. `filter` is the value of `RUST_LOG`, if set. What is given back sends the
/// last traces; it is `None` without `otlp`.
///
/// # Errors
/// A text for the operator: the filter or the address cannot be read, or logging was started before.
pub fn start(format: LogFormat, filter: Option<&str>, otlp: Option<&Otlp>) -> Result<Option<Flush>, String> {
    let filter =
        EnvFilter::try_new(filter.unwrap_or(FILTER_DEFAULT)).map_err(|_| "RUST_LOG: not a filter".to_owned())?;
    let (spans, flush) = otlp.map(otlp::start).transpose()?.unzip();
    let registry = tracing_subscriber::registry().with(filter).with(spans);
    let started = match format {
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            registry.with(layer).try_init()
        }
        LogFormat::Text => registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).try_init(),
    };
    started.map_err(|_| "logging was started twice".to_owned())?;
    Ok(flush)
}

/// An error with its causes, outermost first, in one line of a log.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        next = cause.source();
    }
    line
}
