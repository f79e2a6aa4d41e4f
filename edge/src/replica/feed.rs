//! Keeps the replica filled: whole at start and after every lost connection, in part every few seconds, and by news in between.

use super::{
    Replica,
    numbers::{Numbers, Verdict},
};
use crate::metrics::Metrics;
use kit::kv::{Cmd, Kv, KvError, News};
use proto::{
    TokenId, event::Event, fleet::Placement, keys, node::Membership, secret::PublishedSecrets, session::Protocol,
};
use serde::Deserialize;
use std::{future::pending, sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Between two readings of what is small: secrets, control-apis, revocations.
const REFRESH_EVERY: Duration = Duration::from_secs(3);
/// Every so many refreshes the placements are read whole as well: 1 min.
const WHOLE_EVERY: u32 = 20;
/// How long news may be on its way after its number was read.
const ON_ITS_WAY: Duration = Duration::from_millis(250);
/// Keys asked for in one step of a scan.
const SCAN_COUNT: u32 = 500;
/// Steps of one scan at most, so that a store that never says "done" cannot hold the feed.
const SCAN_STEPS_MAX: u32 = 4_000;

/// Who else wants the news.
pub trait Listener: Send + Sync {
    /// One piece of news, after the replica took it.
    fn event(&self, event: &Event);
    /// News was lost, or arrives again: what was heard must be asked for.
    fn healthy(&self, healthy: bool);
    /// A membership was read; it may be known already.
    fn members(&self, membership: &Membership);
}

/// The number of a message, also of one whose news does not read.
#[derive(Debug, Default, Deserialize)]
struct Numbered {
    #[serde(default)]
    n: u64,
}

/// Fills one replica.
pub struct Feed {
    kv: Kv,
    replica: Replica,
    listener: Arc<dyn Listener>,
    metrics: Metrics,
    news: broadcast::Receiver<News>,
    subscribed: bool,
    numbers: Numbers,
    /// When news whose number was read must have come.
    late_at: Option<Instant>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("subscribed", &self.subscribed).finish_non_exhaustive()
    }
}

impl Feed {
    /// Hears news from now on.
    #[must_use]
    pub fn new(kv: Kv, replica: Replica, listener: Arc<dyn Listener>, metrics: Metrics) -> Self {
        let news = kv.news();
        Self { kv, replica, listener, metrics, news, subscribed: false, numbers: Numbers::default(), late_at: None }
    }

    /// Subscribes and reads everything once; a Redis that is away is tried again by [`Feed::run`].
    pub async fn first(&mut self) {
        self.tick(true).await;
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.forever()).await;
    }

    async fn forever(&mut self) {
        let mut ticks = tokio::time::interval(REFRESH_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Everything was read by `first`; if it was not, news is not healthy and the next reading is whole anyhow.
        let mut count = 1_u32;
        loop {
            let late_at = self.late_at;
            let late = async {
                match late_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => pending().await,
                }
            };
            let verdict = tokio::select! {
                biased;
                item = self.news.recv() => match item {
                    // A channel of another reader of this Redis.
                    Ok(News::Message { channel, .. }) if channel != keys::EVENTS => Verdict::Fine,
                    Ok(News::Message { payload, .. }) => self.message(&payload),
                    Ok(News::Reconnected) | Err(RecvError::Lagged(_)) => Verdict::Missed,
                    Err(RecvError::Closed) => return,
                },
                _ = ticks.tick() => {
                    // A reading that failed is tried again whole.
                    let (read, verdict) = self.tick(count.is_multiple_of(WHOLE_EVERY)).await;
                    count = if read { count.wrapping_add(1) } else { 0 };
                    verdict
                }
                () = late => {
                    self.late_at = None;
                    self.numbers.late()
                }
            };
            match verdict {
                Verdict::Fine => {}
                Verdict::Wait => self.late_at = Some(Instant::now() + ON_ITS_WAY),
                Verdict::Missed => {
                    tracing::warn!("news from Redis was missed; everything is read again");
                    self.metrics.news_lost();
                    self.replica.forget_streams();
                    self.set_healthy(false);
                    count = 0;
                    ticks.reset_immediately();
                }
            }
        }
    }

    /// Reads once; false when Redis is away. Also what the number of the last news says.
    async fn tick(&mut self, whole: bool) -> (bool, Verdict) {
        // What was missed while news was lost is read whole, whenever that succeeds.
        let whole = whole || !self.replica.news_healthy();
        if !self.subscribed {
            self.subscribed = self.kv.subscribe(vec![keys::EVENTS.to_owned()]).await.is_ok();
        }
        let read = self.refresh(whole).await;
        self.metrics.redis_up(read.is_ok());
        let verdict = match &read {
            Ok(number) if whole => {
                self.numbers.restart(*number);
                self.late_at = None;
                Verdict::Fine
            }
            Ok(number) => self.numbers.asked(*number),
            Err(error) => {
                tracing::debug!(%error, "the replica could not be refreshed");
                Verdict::Fine
            }
        };
        self.set_healthy(self.subscribed && read.is_ok());
        (read.is_ok(), verdict)
    }

    fn set_healthy(&self, healthy: bool) {
        if self.replica.news_healthy() != healthy {
            self.replica.set_news_healthy(healthy);
            self.listener.healthy(healthy);
            tracing::info!(healthy, "news from Redis");
        }
    }

    fn message(&mut self, payload: &[u8]) -> Verdict {
        let number = serde_json::from_slice::<Numbered>(payload).unwrap_or_default().n;
        self.take(payload);
        self.numbers.message(number)
    }

    fn take(&self, payload: &[u8]) {
        let event: Event = match serde_json::from_slice(payload) {
            Ok(event) => event,
            Err(error) => {
                // A newer control-api may tell news that this edge does not know.
                tracing::debug!(%error, "news that does not read");
                return;
            }
        };
        match &event {
            Event::StreamLive { placement, .. } => self.replica.change_placements(|all| all.live(placement.clone())),
            Event::StreamEnded { stream, epoch, .. } => self.replica.change_placements(|all| all.ended(stream, *epoch)),
            Event::SessionClosed { id, reason, .. } => self.replica.learn_ended(*id, *reason),
            Event::TokenRevoked { jti, expires_at } => self.replica.learn_revoked(*jti, *expires_at),
            Event::StreamChanged { stream, .. } => self.replica.forget_stream(stream),
            Event::SecretsChanged => self.read_secrets_soon(),
            Event::MembersChanged { .. } | Event::NodeUp { .. } | Event::NodeDown { .. } => self.read_members_soon(),
            // An HLS session may be taken up again by another edge, under its own id.
            Event::SessionOpened { session, .. } if session.protocol == Protocol::Hls => {
                self.replica.learn_opened(&session.id);
            }
            Event::SessionOpened { .. } => {}
            Event::KeyRevoked { .. } => {}
        }
        self.listener.event(&event);
    }

    /// Reads the secrets without holding up the news.
    fn read_secrets_soon(&self) {
        let (kv, replica) = (self.kv.clone(), self.replica.clone());
        tokio::spawn(async move {
            if let Ok(Some(secrets)) = kv.json::<PublishedSecrets>(keys::SECRETS).await {
                replica.learn_secrets(&secrets);
            }
        });
    }

    /// Reads the membership without holding up the news.
    fn read_members_soon(&self) {
        let (kv, listener) = (self.kv.clone(), self.listener.clone());
        tokio::spawn(async move {
            if let Ok(Some(membership)) = kv.json::<Membership>(keys::MEMBERS).await {
                listener.members(&membership);
            }
        });
    }

    /// Reads what is small, and if `whole` the placements too. Returns the number of the last news before it.
    async fn refresh(&self, whole: bool) -> Result<u64, KvError> {
        let now = kit::clock::unix();
        let revoked = Cmd::on("ZRANGEBYSCORE", keys::REVOKED).num(now).arg("+inf").arg("WITHSCORES");
        let revoked = revoked.arg("LIMIT").num(0).num(super::REVOKED_MAX);
        let (number, members) = (Cmd::get(keys::EVENTS_NUMBER), Cmd::get(keys::MEMBERS));
        let commands = vec![number, Cmd::get(keys::SECRETS), Cmd::hgetall(keys::CONTROLS), members, revoked];
        let replies = self.kv.run(commands).await?;
        let [number, secrets, controls, members, revoked] = <[_; 5]>::try_from(replies).map_err(|_| KvError::Shape)?;
        let number = number.text().and_then(|text| text.parse().ok()).unwrap_or(0);
        if let Some(membership) = members.json::<Membership>()? {
            self.listener.members(&membership);
        }
        if let Some(secrets) = secrets.json::<PublishedSecrets>()? {
            self.replica.learn_secrets(&secrets);
        }
        let controls = controls.map()?;
        let controls = controls.values().filter_map(|json| serde_json::from_slice(json).ok());
        self.replica.learn_controls(controls, kit::clock::unix_ms());
        for pair in revoked.list()?.chunks_exact(2) {
            if let [member, score] = pair
                && let Some(jti) = member.text().and_then(|text| TokenId::parse(text).ok())
            {
                self.replica
                    .learn_revoked(jti, score.int().ok().and_then(|s| u64::try_from(s).ok()).unwrap_or(u64::MAX));
            }
        }
        self.replica.forget_revoked(now);
        if whole {
            let all = self.placements().await?;
            self.replica.change_placements(|held| held.replace(all.into_iter()));
        }
        Ok(number)
    }

    /// Reads every placement. On Redis Cluster a scan sees one shard; the rest is learnt by news and by asking.
    async fn placements(&self) -> Result<Vec<Placement>, KvError> {
        let mut all = Vec::new();
        let mut cursor = "0".to_owned();
        for _ in 0..SCAN_STEPS_MAX {
            let scan =
                Cmd::new("SCAN").arg(&cursor).arg("MATCH").arg(keys::PLACEMENTS_PATTERN).arg("COUNT").num(SCAN_COUNT);
            let mut reply = self.kv.one(scan).await?.list()?.into_iter();
            let (next, page) = reply.next().zip(reply.next()).ok_or(KvError::Shape)?;
            let gets: Vec<Cmd> = page.texts()?.iter().map(|key| Cmd::get(key)).collect();
            if !gets.is_empty() {
                for reply in self.kv.run(gets).await? {
                    all.extend(reply.json::<Placement>()?);
                }
            }
            next.text().ok_or(KvError::Shape)?.clone_into(&mut cursor);
            if cursor == "0" {
                break;
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
