//! Arguments of the commands that try a whole cluster.

use super::seconds;
use crate::{chaos::Kind, config::Media, hostile::Attack, matrix::Source};
use clap::Args;
use std::{path::PathBuf, time::Duration};

/// `keystone chaos`.
#[derive(Debug, Clone, Args)]
pub struct Chaos {
    /// control-api processes.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub control: u16,
    /// edge-gateway processes.
    #[arg(long, value_name = "M", default_value_t = 3)]
    pub edge: u16,
    /// Media nodes.
    #[arg(long, value_name = "K", default_value_t = 4)]
    pub nodes: u16,
    /// Publishers, each of a stream of its own.
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub publishers: u16,
    /// Viewers, shared out among the streams.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub viewers: u16,
    /// Which media nodes; `KEYSTONE_MEDIA` when absent.
    #[arg(long, value_name = "KIND")]
    pub media: Option<Media>,
    /// Only these faults, in this order.
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    pub only: Vec<Kind>,
    /// How often each is done.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub runs: u16,
    /// How long Redis is stopped.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "60s")]
    pub redis_away: Duration,
    /// Write the table as Markdown here.
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Keep the cluster's folder, with all logs.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// `keystone matrix`.
#[derive(Debug, Clone, Args)]
pub struct Matrix {
    /// Only these publishers.
    #[arg(long, value_name = "PUBLISHER", value_delimiter = ',')]
    pub only: Vec<Source>,
    /// Write the table as Markdown here.
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Keep the clusters' folders, with all logs.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// `keystone hostile`.
#[derive(Debug, Clone, Args)]
pub struct Hostile {
    /// Only these attacks.
    #[arg(long, value_name = "ATTACK", value_delimiter = ',')]
    pub only: Vec<Attack>,
    /// How long each lasts.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "10s")]
    pub lasts: Duration,
    /// Which media nodes; `KEYSTONE_MEDIA` when absent.
    #[arg(long, value_name = "KIND")]
    pub media: Option<Media>,
    /// Write the table as Markdown here.
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Keep the cluster's folder, with all logs.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}
