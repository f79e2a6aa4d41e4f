//! The directory of live public streams: what everybody's first page asks for, so it is kept for a second, and longer while Postgres is away.

use super::with_viewers;
use crate::{app::State, error::ApiError, http::page::ByTime, store::pg::streams as store};
use moka::future::Cache;
use proto::api::Stream;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a page is given without asking again.
const FRESH: Duration = Duration::from_secs(1);
/// How long a page is given while Postgres is away.
const STALE_MAX: Duration = Duration::from_secs(300);
/// Pages kept.
const PAGES_MAX: u64 = 64;

#[derive(Debug)]
struct Kept {
    at: Instant,
    streams: Arc<Vec<Stream>>,
}

/// Pages of the directory.
#[derive(Debug, Clone)]
pub struct Directory(Cache<String, Arc<Kept>>);

impl Default for Directory {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(PAGES_MAX).time_to_live(STALE_MAX).build())
    }
}

impl Directory {
    /// A page: up to `rows_max` streams after a place.
    ///
    /// # Errors
    /// Postgres is away, and this page is not kept.
    pub async fn page(
        &self,
        state: &State,
        after: Option<&ByTime>,
        rows_max: i64,
    ) -> Result<Arc<Vec<Stream>>, ApiError> {
        let key = format!("{rows_max} {after:?}");
        let kept = self.0.get(&key).await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.at.elapsed() < FRESH) {
            return Ok(Arc::clone(&kept.streams));
        }
        match read(state, after, rows_max).await {
            Ok(streams) => {
                let streams = Arc::new(streams);
                self.0.insert(key, Arc::new(Kept { at: Instant::now(), streams: Arc::clone(&streams) })).await;
                Ok(streams)
            }
            Err(error @ ApiError::PostgresAway(_)) => {
                let kept = kept.ok_or(error)?;
                state.metrics.answered_stale();
                Ok(Arc::clone(&kept.streams))
            }
            Err(error) => Err(error),
        }
    }
}

async fn read(state: &State, after: Option<&ByTime>, rows_max: i64) -> Result<Vec<Stream>, ApiError> {
    let rows = {
        let client = state.pg.get().await?;
        store::directory(&**client, after.map(|place| (place.at(), place.id.as_str())), rows_max).await?
    };
    Ok(with_viewers(state, rows).await)
}
