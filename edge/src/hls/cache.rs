//! The latest playlists and segments. Whoever asks for one that is not here waits for the one fetch that is under way.
//!
//! Fetches run as tasks of their own, so that a client that hangs up does not end the fetch that others wait for.

use super::{Inner, listing::Listing, origin::Bounds};
use crate::{error::ApiError, metrics::hls::File, nodes::NodeAddress, srs::SrsError};
use bytes::Bytes;
use moka::{Expiry, future, policy::EvictionPolicy, sync};
use proto::{
    StreamId,
    fleet::Placement,
    node::Met,
    secret::sha256_hex,
    wire::m3u8::{PLAYLIST_BYTES_MAX, SegmentKind, SegmentName},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Streams whose playlists are kept at most.
const LISTINGS_MAX: u64 = 10_000;
/// How long a playlist that nobody asks for is kept.
const LISTING_IDLE: Duration = Duration::from_secs(60);
/// How old a playlist may be that is served: a quarter of a segment, within these.
const FRESH: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// How long a node may take for a playlist.
const PLAYLIST_WITHIN: Duration = Duration::from_secs(2);
/// How long the first segment of a stream is waited for, and how often it is looked for: SRS writes the first playlist when a segment is done.
const FIRST_WITHIN: Duration = Duration::from_secs(6);
const FIRST_EVERY: Duration = Duration::from_millis(250);
/// How long the last playlist stands in for one that the node does not give: a few segments, after which a player has nothing more to play anyway.
const UNANSWERED: Duration = Duration::from_secs(10);
/// How long the playlist of the publish before is shown while the next one has no segment yet.
const HELD_OVER: Duration = Duration::from_secs(30);

/// Longest segment that is read, in bytes: 10 s at 25 Mbit/s.
const SEGMENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a node may take for a segment.
const SEGMENT_WITHIN: Duration = Duration::from_secs(8);
/// How long a segment is kept: players are at most a list behind.
const SEGMENT_FOR: Duration = Duration::from_secs(120);
/// What an entry costs besides its bytes.
const OVERHEAD: usize = 512;
/// Characters of an entity tag.
const ETAG_LEN: usize = 20;

/// What an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that segments may take.
    pub bytes: u64,
}

/// A segment.
#[derive(Debug)]
pub(crate) struct Cached {
    pub(crate) body: Bytes,
    pub(crate) etag: String,
    pub(crate) kind: SegmentKind,
}

/// A playlist, and the epoch under which it may be shown: while a new publish has no segment, that of the one before is.
#[derive(Debug, Clone)]
struct Current {
    under: u64,
    listing: Arc<Listing>,
    fresh: Duration,
}

/// Each playlist is fresh for as long as it says.
struct Fresh;

impl Expiry<StreamId, Current> for Fresh {
    fn expire_after_create(&self, _: &StreamId, current: &Current, _: Instant) -> Option<Duration> {
        Some(current.fresh)
    }
}

#[derive(Debug)]
pub(super) struct Cache {
    fresh: future::Cache<StreamId, Current>,
    last: sync::Cache<StreamId, Arc<Listing>>,
    of_epoch: sync::Cache<(StreamId, u64), Arc<Listing>>,
    segments: future::Cache<SegmentName, Arc<Cached>>,
}

impl Cache {
    pub(super) fn new(settings: Settings) -> Self {
        let weigh = |_: &SegmentName, segment: &Arc<Cached>| {
            u32::try_from(segment.body.len().saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
        };
        Self {
            fresh: future::Cache::builder().max_capacity(LISTINGS_MAX).expire_after(Fresh).build(),
            last: sync::Cache::builder().max_capacity(LISTINGS_MAX).time_to_idle(LISTING_IDLE).build(),
            of_epoch: sync::Cache::builder().max_capacity(LISTINGS_MAX).time_to_idle(LISTING_IDLE).build(),
            segments: future::Cache::builder()
                .max_capacity(settings.bytes)
                .weigher(weigh)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(SEGMENT_FOR)
                .build(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.weighted_size()
    }
}

impl Inner {
    /// The stream's playlist, at most [`FRESH`] old, and never one of a publish that is over.
    pub(super) async fn listing(self: &Arc<Self>, stream: &StreamId) -> Result<Arc<Listing>, ApiError> {
        let at = self.placement(stream).await?;
        if let Some(current) = self.cache.fresh.get(stream).await {
            if current.under == at.epoch {
                self.parts.metrics.hls().asked(File::Playlist, true);
                return Ok(current.listing);
            }
            self.cache.fresh.invalidate(stream).await;
        }
        self.parts.metrics.hls().asked(File::Playlist, false);
        let (inner, stream) = (self.clone(), stream.clone());
        let fetch = async move {
            let find = inner.current(&at);
            inner.cache.fresh.try_get_with(stream, find).await.map_err(|error| ApiError::clone(&error))
        };
        let current = tokio::spawn(fetch).await.map_err(|_| ApiError::Internal)??;
        Ok(current.listing)
    }

    /// Asks the node. One that does not answer for a moment costs nobody the list of a moment ago.
    async fn current(&self, at: &Arc<Placement>) -> Result<Current, ApiError> {
        let found = self.find(at).await;
        if let Err(ApiError::NodeUnavailable) = &found
            && let Some(listing) = self.cache.of_epoch.get(&(at.stream.clone(), at.epoch))
            && listing.made().elapsed() < UNANSWERED
            && self.still(at)
        {
            return Ok(Current { under: at.epoch, listing, fresh: FRESH.1 });
        }
        found
    }

    /// Waits for the first segment where there is none yet.
    async fn find(&self, at: &Arc<Placement>) -> Result<Current, ApiError> {
        let node = self.home(at)?;
        let deadline = tokio::time::Instant::now() + FIRST_WITHIN;
        loop {
            let before = self.cache.last.get(&at.stream);
            if let Some(listing) = self.ask(at, &node, before.as_deref()).await? {
                let listing = Arc::new(listing);
                self.cache.last.insert(at.stream.clone(), listing.clone());
                self.cache.of_epoch.insert((at.stream.clone(), at.epoch), listing.clone());
                let fresh = (listing.target() / 4).clamp(FRESH.0, FRESH.1);
                return Ok(Current { under: at.epoch, listing, fresh });
            }
            let held = before.filter(|held| held.made().elapsed() < HELD_OVER);
            if let Some(listing) = held.filter(|held| held.at().epoch < at.epoch) {
                return Ok(Current { under: at.epoch, listing, fresh: FRESH.0 });
            }
            if tokio::time::Instant::now() + FIRST_EVERY >= deadline || !self.still(at) {
                return Err(ApiError::StreamNotLive);
            }
            tokio::time::sleep(FIRST_EVERY).await;
        }
    }

    /// Whether news has not said otherwise since.
    fn still(&self, at: &Placement) -> bool {
        let replica = &self.parts.replica;
        !replica.news_healthy()
            || replica.placements(|all| all.get(&at.stream).is_some_and(|now| now.epoch == at.epoch))
    }

    async fn ask(
        &self,
        at: &Arc<Placement>,
        node: &NodeAddress,
        before: Option<&Listing>,
    ) -> Result<Option<Listing>, ApiError> {
        let bounds = Bounds { kind: File::Playlist, bytes: PLAYLIST_BYTES_MAX, within: PLAYLIST_WITHIN };
        let Some(bytes) = self.fetch(at, node, &format!("{}.m3u8", at.stream), bounds).await? else { return Ok(None) };
        let age = Duration::from_millis(kit::clock::unix_ms().saturating_sub(at.since_ms));
        Listing::make(&bytes, at, age, before, Instant::now()).map_err(|error| {
            tracing::error!(node = %at.node, stream.id = %at.stream, %error, "a media node's playlist cannot be served: it {error}");
            ApiError::UpstreamRefused
        })
    }

    /// Reads a file, and notes what a failure tells of the node.
    async fn fetch(
        &self,
        at: &Placement,
        node: &NodeAddress,
        file: &str,
        bounds: Bounds,
    ) -> Result<Option<Bytes>, ApiError> {
        let http = node.at.http.as_deref().ok_or(ApiError::NodeUnavailable)?;
        match self.parts.origin.get(http, file, bounds).await {
            Ok(found) => Ok(found),
            Err(error) => {
                tracing::warn!(node = %node.id, stream.id = %at.stream, %error, "a media node did not give a file: {error}");
                match error {
                    SrsError::NotListening => drop(self.parts.keeper.failed(&node.id, &at.service, Met::Refused)),
                    SrsError::Unreachable => drop(self.parts.keeper.failed(&node.id, &at.service, Met::Silent)),
                    SrsError::TimedOut | SrsError::HungUp => self.parts.nodes.doubt(&node.id, &at.service),
                    SrsError::Busy | SrsError::Refused | SrsError::Offer | SrsError::BadAnswer(_) => {
                        return Err(ApiError::UpstreamRefused);
                    }
                }
                Err(ApiError::NodeUnavailable)
            }
        }
    }

    /// A segment's bytes.
    pub(super) async fn segment(self: &Arc<Self>, name: &SegmentName) -> Result<Arc<Cached>, ApiError> {
        if let Some(cached) = self.cache.segments.get(name).await {
            self.parts.metrics.hls().asked(File::Segment, true);
            return Ok(cached);
        }
        self.parts.metrics.hls().asked(File::Segment, false);
        let (inner, name) = (self.clone(), name.clone());
        let fetch = async move {
            let load = inner.load(name.clone());
            inner.cache.segments.try_get_with(name, load).await.map_err(|error| ApiError::clone(&error))
        };
        tokio::spawn(fetch).await.map_err(|_| ApiError::Internal)?
    }

    async fn load(self: &Arc<Self>, name: SegmentName) -> Result<Arc<Cached>, ApiError> {
        let listing = self.naming(&name).await?;
        let at = listing.at();
        let node = self.parts.nodes.get(&at.node).ok_or(ApiError::NodeUnavailable)?;
        // Its files went with the run that wrote them, or may be another publish's by now.
        if node.lost || node.service.as_ref().is_some_and(|run| *run != at.service) {
            return Err(ApiError::SegmentUnknown);
        }
        let bounds = Bounds { kind: File::Segment, bytes: SEGMENT_BYTES_MAX, within: SEGMENT_WITHIN };
        let body = self.fetch(at, &node, &name.rest.at_node(&name.stream), bounds).await?;
        let body = body.ok_or(ApiError::SegmentUnknown)?;
        let mut etag = sha256_hex(&body);
        etag.truncate(ETAG_LEN);
        Ok(Arc::new(Cached { body, etag, kind: name.rest.kind() }))
    }

    /// The playlist that named a segment: the present one, or a recent one of its epoch.
    async fn naming(self: &Arc<Self>, name: &SegmentName) -> Result<Arc<Listing>, ApiError> {
        let key = (name.stream.clone(), name.epoch);
        let names = |listing: &Arc<Listing>| listing.names(&name.rest, Instant::now());
        if let Some(known) = self.cache.of_epoch.get(&key).filter(names) {
            return Ok(known);
        }
        let present = match self.listing(&name.stream).await {
            Ok(present) => present,
            Err(ApiError::StreamNotLive) => return Err(ApiError::SegmentUnknown),
            Err(error) => return Err(error),
        };
        if present.at().epoch == name.epoch && names(&present) { Ok(present) } else { Err(ApiError::SegmentUnknown) }
    }

    /// The latest segment of a live stream, with what a player needs before it.
    pub(crate) async fn latest(self: &Arc<Self>, stream: &StreamId) -> Result<Vec<Arc<Cached>>, ApiError> {
        let listing = self.listing(stream).await?;
        let mut parts = Vec::with_capacity(2);
        for rest in listing.map().into_iter().chain([listing.last()]) {
            let name = SegmentName { stream: stream.clone(), epoch: listing.at().epoch, rest: rest.clone() };
            parts.push(self.segment(&name).await?);
        }
        Ok(parts)
    }
}
