//! HLS in front of the media nodes: playlists and segments with the cluster's own names, rights, cache and sessions.
//!
//! | file | holds |
//! |---|---|
//! | [`origin`] | the client of a node's file server |
//! | [`listing`] | a node's playlist as viewers see it, and which segments it names |
//! | [`cache`] | the latest playlists and segments, each fetched once however many ask |
//! | [`verdict`] | who may have what: a token at first, a viewer value from then on |
//! | [`viewers`] | the sessions |
//! | [`report`] | tells control-api of them |
//! | [`thumbnail`] | pictures of live streams |
//!
//! The first playlist is a multivariant one with a single entry under the viewer's own value; it opens the session. All that follows carries that
//! value, on a public stream's playlist only, so that its segments are the same for everybody and any cache may keep them.

mod cache;
mod listing;
mod origin;
pub(crate) mod report;
mod thumbnail;
mod verdict;
pub(crate) mod viewers;

pub(crate) use cache::{Cached, Settings};
pub(crate) use origin::Origin;
pub(crate) use thumbnail::{Ffmpeg, KEPT_FOR};
pub(crate) use verdict::Ask;

use crate::{
    admit::Admission,
    error::ApiError,
    front::{Grant, draw_session},
    metrics::Metrics,
    nodes::{Keeper, NodeAddress, Nodes},
    replica::Replica,
    srs::SrsError,
    stream::Lookup,
};
use bytes::Bytes;
use cache::Cache;
use proto::{
    EdgeId, StreamId,
    fleet::Placement,
    session::Role,
    wire::m3u8::{SegmentName, master},
};
use std::{net::IpAddr, sync::Arc, time::Duration};
use thumbnail::Thumbnails;
use viewers::{Viewer, Viewers};

/// What a multivariant playlist says of the bitrate, in bit/s: the tag must be there, and players with one choice do not use it.
const BANDWIDTH: u64 = 4_000_000;

/// Everything the HLS front needs of the edge.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) edge: EdgeId,
    pub(crate) admission: Admission,
    pub(crate) replica: Replica,
    pub(crate) nodes: Nodes,
    pub(crate) keeper: Keeper,
    pub(crate) lookup: Lookup,
    pub(crate) origin: Origin,
    pub(crate) metrics: Metrics,
}

/// The HLS front; every clone is the same one.
#[derive(Debug, Clone)]
pub(crate) struct Hls(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    parts: Parts,
    cache: Cache,
    viewers: Viewers,
    verdicts: verdict::Verdicts,
    thumbnails: Thumbnails,
}

/// A playlist to answer with.
#[derive(Debug)]
pub(crate) enum Playlist {
    /// The one that names the viewer's own; never kept by anybody.
    Master(String),
    /// The one with segments.
    Media {
        /// Its text.
        body: Bytes,
        /// Its entity tag without quotes.
        etag: String,
        /// How long the viewer may keep it.
        fresh: Duration,
    },
}

/// A segment to answer with.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its bytes and tag.
    pub(crate) cached: Arc<Cached>,
    /// It may be kept by the viewer only.
    pub(crate) private: bool,
    /// For whom, if the request said so.
    viewer: Option<Arc<Viewer>>,
}

impl Segment {
    /// Notes that bytes of it were sent.
    pub(crate) fn sent(&self, hls: &Hls, name: &SegmentName, client: IpAddr, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(0);
        match &self.viewer {
            Some(viewer) => viewer.kept.traffic().sent(bytes),
            None => hls.0.viewers.credit(&name.stream, client, bytes),
        }
    }
}

impl Hls {
    pub(crate) fn new(parts: Parts, settings: Settings, ffmpeg: Ffmpeg) -> Self {
        Self(Arc::new(Inner {
            parts,
            cache: Cache::new(settings),
            viewers: Viewers::default(),
            verdicts: verdict::Verdicts::new(),
            thumbnails: Thumbnails::new(ffmpeg),
        }))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// Bytes that cached segments take.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.0.cache.bytes()
    }

    /// Viewers whose sessions are held here.
    pub(crate) fn viewers(&self) -> usize {
        self.0.viewers.len()
    }

    /// The playlist of a stream for whoever asks; the first opens a session unless only the head is wanted.
    ///
    /// # Errors
    /// The refusal; a single-use token is not held then.
    pub(crate) async fn playlist(&self, stream: &StreamId, ask: Ask<'_>, head: bool) -> Result<Playlist, ApiError> {
        let Some(value) = ask.viewer else {
            let first = self.0.first(stream, ask, head).await;
            let verdict = first.as_ref().map_or_else(|error| error.row().code, |_| "ok");
            self.0.parts.metrics.admission(Role::Play, verdict);
            return first;
        };
        let (viewer, token) = self.0.verdict(stream, value, ask.client).await?;
        let listing = self.0.listing(stream).await?;
        viewer.seen(self.0.viewers.now_ms(), listing.target());
        let body = if token { listing.for_viewer(value) } else { listing.public() };
        if !head {
            viewer.kept.traffic().sent(u64::try_from(body.len()).unwrap_or(0));
        }
        let fresh = Duration::from_secs((listing.target().as_secs() / 2).max(1));
        Ok(Playlist::Media { body, etag: listing.etag().to_owned(), fresh })
    }

    /// Whether whoever asks may watch a stream that is live, without a session of its own.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) async fn may_watch(&self, stream: &StreamId, ask: Ask<'_>) -> Result<(), ApiError> {
        match (ask.viewer, ask.credential) {
            (Some(value), _) => drop(self.0.verdict(stream, value, ask.client).await?),
            (None, Some(_)) => {
                let session = draw_session();
                let asked = crate::admit::Ask { stream, credential: ask.credential, client: ask.client, session };
                if let Some(jti) = self.0.parts.admission.play(asked, false).await?.taken {
                    self.0.parts.admission.give_back(jti, session).await;
                }
            }
            (None, None) => self.0.public_only(stream, ask.client).await?,
        }
        self.0.placement(stream).await.map(drop)
    }

    /// Opens HTTP-FLV at a grant's node: its first bytes, and the rest.
    ///
    /// # Errors
    /// [`SrsError`].
    pub(crate) async fn open_flv(&self, grant: &Grant) -> Result<(Bytes, reqwest::Response), SrsError> {
        let at = grant.node().at.http.as_deref().ok_or(SrsError::Unreachable)?;
        self.0.parts.origin.flv(at, grant).await
    }

    /// A segment that a playlist named.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) async fn segment(&self, name: &SegmentName, ask: Ask<'_>) -> Result<Segment, ApiError> {
        let viewer = match ask.viewer {
            Some(value) => Some(self.0.verdict(&name.stream, value, ask.client).await?.0),
            None => {
                self.0.public_only(&name.stream, ask.client).await?;
                None
            }
        };
        let cached = self.0.segment(name).await?;
        Ok(Segment { private: viewer.is_some(), cached, viewer })
    }
}

impl Inner {
    /// The first playlist: admits, makes sure that there is something to play, opens the session.
    async fn first(self: &Arc<Self>, stream: &StreamId, ask: Ask<'_>, head: bool) -> Result<Playlist, ApiError> {
        let session = draw_session();
        let asked = crate::admit::Ask { stream, credential: ask.credential, client: ask.client, session };
        let admitted = self.parts.admission.play(asked, false).await?;
        let taken = admitted.taken;
        let made = match self.listing(stream).await {
            Ok(listing) => self.open(stream, session, &admitted, ask.client, &listing, head),
            Err(error) => Err(error),
        };
        match (made, taken) {
            (Ok(value), None) => Ok(Playlist::Master(master(stream, &value, BANDWIDTH))),
            (Ok(value), Some(jti)) => {
                if head {
                    self.parts.admission.give_back(jti, session).await;
                }
                Ok(Playlist::Master(master(stream, &value, BANDWIDTH)))
            }
            (Err(error), None) => Err(error),
            (Err(error), Some(jti)) => {
                self.parts.admission.give_back(jti, session).await;
                Err(error)
            }
        }
    }

    /// Where a stream is live now.
    async fn placement(&self, stream: &StreamId) -> Result<Arc<Placement>, ApiError> {
        let replica = &self.parts.replica;
        if replica.news_healthy()
            && let Some(heard) = replica.placements(|all| all.get(stream).cloned())
        {
            return Ok(Arc::new(heard));
        }
        match self.parts.lookup.place(stream).await {
            Ok(Some(placement)) => Ok(placement),
            Ok(None) => Err(ApiError::StreamNotLive),
            Err(()) => Err(ApiError::Away { what: "control-api" }),
        }
    }

    /// The node of a placement, if the stream can still be there.
    fn home(&self, at: &Placement) -> Result<NodeAddress, ApiError> {
        let node = self.parts.nodes.get(&at.node).ok_or(ApiError::NodeUnavailable)?;
        if node.lost || node.service.as_ref().is_some_and(|run| *run != at.service) {
            return Err(ApiError::StreamNotLive);
        }
        if !node.up || node.at.http.is_none() {
            return Err(ApiError::NodeUnavailable);
        }
        Ok(node)
    }
}
