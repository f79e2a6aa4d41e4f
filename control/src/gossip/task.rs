//! The task that gossips: Redis's channels and a clock around the table. It subscribes again by itself, whatever Redis does.

use super::{table::GossipSessions, told};
use crate::{app::State, secrets::Secrets};
use ::gossip::{Event, Keys, Output};
use bytes::Bytes;
use kit::kv::{Cmd, News};
use proto::{
    SessionId,
    fleet::{ControlInfo, FLEET_ALIVE_MS},
    keys,
    session::EndReason,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{
        broadcast::{
            Receiver,
            error::{RecvError, TryRecvError},
        },
        mpsc,
    },
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// How long a subscription may take before it is tried again.
const SUBSCRIBE_MAX: Duration = Duration::from_secs(1);
/// Messages taken in before the clock and what is to be sent get their turn.
const BURST: usize = 256;
/// Messages published in one round trip: 64 of 64 KiB are 4 MiB.
const PUBLISH_BATCH: usize = 64;
/// Lists of ended sessions that wait to be told; a list is as long as a lost node had sessions.
const TELL_QUEUE: usize = 1_024;
/// A kind of refused message is logged once in so long.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// What the task holds beside the table.
struct Task {
    state: Arc<State>,
    keys_of: Option<Arc<Secrets>>,
    channels: [String; 2],
    subscribed: bool,
    up: bool,
    retry: Instant,
    tell: mpsc::Sender<Vec<SessionId>>,
    warned: Option<Instant>,
}

/// Gossips until `stop`, then says goodbye.
pub async fn run(state: Arc<State>, stop: CancellationToken) {
    let mut news = state.kv.news();
    let (tell, told) = mpsc::channel(TELL_QUEUE);
    let mine = keys::control_channel(&state.id);
    let mut task = Task {
        channels: [keys::GOSSIP.to_owned(), mine],
        state: Arc::clone(&state),
        keys_of: None,
        subscribed: false,
        up: false,
        retry: Instant::now(),
        tell,
        warned: None,
    };
    let gossip = async {
        while task.turn(&mut news, &stop).await {}
        task.leave().await;
        // Ends the teller when all is told.
        drop(task);
    };
    tokio::join!(gossip, tell_all(&state.gossip, told));
}

async fn tell_all(table: &GossipSessions, mut told: mpsc::Receiver<Vec<SessionId>>) {
    while let Some(ids) = told.recv().await {
        told::tell(table, ids).await;
    }
}

impl Task {
    fn table(&self) -> &GossipSessions {
        &self.state.gossip
    }

    /// Waits for whatever comes first and does it; false when it is time to stop.
    async fn turn(&mut self, news: &mut Receiver<News>, stop: &CancellationToken) -> bool {
        let wait = {
            let now = self.table().now();
            Duration::from_millis(self.table().core().due(now).saturating_sub(now.mono_ms))
        };
        let item = tokio::select! {
            () = stop.cancelled() => return false,
            item = news.recv() => Some(item),
            () = self.state.gossip.wake.notified() => None,
            () = tokio::time::sleep(wait) => None,
        };
        self.secrets();
        match item {
            Some(Ok(item)) => {
                self.heard(item);
                self.hear_more(news);
            }
            // What was lost is found out by the vectors.
            Some(Err(RecvError::Lagged(_))) => self.table().metrics.gap("backlog"),
            Some(Err(RecvError::Closed)) => {
                stop.cancelled().await;
                return false;
            }
            None => {}
        }
        self.channel().await;
        {
            let now = self.table().now();
            self.table().core().tick(now);
        }
        self.carry_out().await;
        true
    }

    fn hear_more(&mut self, news: &mut Receiver<News>) {
        for _ in 0..BURST {
            match news.try_recv() {
                Ok(item) => self.heard(item),
                Err(TryRecvError::Lagged(_)) => self.table().metrics.gap("backlog"),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Seals with the cluster's secret, also after a rotation.
    fn secrets(&mut self) {
        let Ok(secrets) = self.state.secrets() else { return };
        if self.keys_of.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &secrets)) {
            self.table().core().rekey(Keys::new(&secrets.keyring));
            self.keys_of = Some(secrets);
        }
    }

    fn heard(&mut self, item: News) {
        match item {
            News::Message { channel, payload } if self.channels.contains(&channel) => self.message(&payload),
            News::Message { .. } => {}
            News::Reconnected => {
                self.table().metrics.gap("reconnect");
                self.set_up(false);
            }
        }
    }

    fn message(&mut self, payload: &Bytes) {
        if self.keys_of.is_none() {
            return;
        }
        self.table().metrics.received(payload.len());
        let now = self.table().now();
        let taken = self.table().core().message(now, payload);
        let Err(error) = taken else { return };
        self.table().metrics.refused(error.as_str());
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!(%error, "a message of the gossip was refused; more are counted only");
        }
    }

    fn set_up(&mut self, up: bool) {
        if self.up == up {
            return;
        }
        self.up = up;
        let now = self.table().now();
        let mut core = self.table().core();
        if up { core.channel_up(now) } else { core.channel_down(now) }
    }

    /// Subscribes, once the secrets are there and Redis is; sees when it goes.
    async fn channel(&mut self) {
        if !self.state.kv.connected() {
            self.set_up(false);
            return;
        }
        if self.keys_of.is_none() || self.up {
            return;
        }
        if !self.subscribed {
            if self.retry > Instant::now() {
                return;
            }
            self.retry = Instant::now() + SUBSCRIBE_MAX;
            let subscribe = self.state.kv.subscribe(self.channels.to_vec());
            self.subscribed = matches!(tokio::time::timeout(SUBSCRIBE_MAX, subscribe).await, Ok(Ok(())));
            if !self.subscribed {
                return;
            }
            if self.alone().await {
                self.table().core().alone();
            }
        }
        self.set_up(true);
    }

    /// Whether no other control node told of itself of late.
    async fn alone(&self) -> bool {
        let Ok(reply) = self.state.kv.one(Cmd::hgetall(keys::CONTROLS)).await else { return false };
        let now_ms = self.table().now().unix_ms;
        let others = reply.map().unwrap_or_default();
        let mut others = others.values().filter_map(|json| serde_json::from_slice::<ControlInfo>(json).ok());
        !others.any(|info| info.id != self.state.id && now_ms.saturating_sub(info.seen_at_ms) < FLEET_ALIVE_MS)
    }

    async fn leave(&mut self) {
        let now = self.table().now();
        self.table().core().leave(now);
        self.carry_out().await;
    }

    /// Does what the core wants done.
    async fn carry_out(&mut self) {
        let outputs = self.table().core().outputs();
        if outputs.is_empty() {
            return;
        }
        let (mut send, mut ended) = (Vec::new(), Vec::new());
        for output in outputs {
            match output {
                Output::Publish(bytes) => send.push(self.published(keys::GOSSIP, &bytes)),
                Output::Send { to, bytes } => send.push(self.published(&keys::control_channel(&to), &bytes)),
                Output::Opened { here, .. } => self.table().metrics.change("opened", here),
                Output::Closed { session, reason, here, ours } => {
                    self.table().metrics.change("closed", here);
                    // What ended here one by one is told by whoever ended it, what ended elsewhere perhaps by nobody who knew it.
                    if if here { reason == EndReason::NodeLost } else { ours } {
                        ended.push(session);
                    }
                }
                Output::Reconcile { nodes, why } => {
                    tracing::info!(?why, nodes = nodes.len(), "sessions are to be compared with their media nodes");
                    self.table().compare_all();
                }
                Output::Event(event) => self.event(&event),
            }
        }
        if !ended.is_empty() && self.tell.try_send(ended).is_err() {
            self.table().skipped();
        }
        for batch in send.chunks(PUBLISH_BATCH) {
            if self.state.kv.run(batch.to_vec()).await.is_err() {
                self.table().metrics.gap("unsent");
            }
        }
    }

    fn published(&self, channel: &str, bytes: &[u8]) -> Cmd {
        self.table().metrics.sent(bytes.len());
        Cmd::publish(channel, bytes)
    }

    fn event(&self, event: &Event) {
        self.table().metrics.event(event);
        match event {
            Event::Adopted { from, entries } => {
                tracing::info!(%from, entries, "sessions of a dead control node were adopted")
            }
            Event::Dropped { entries } => {
                tracing::warn!(entries, "cut off for long: what others told was dropped, a snapshot is asked for");
            }
            Event::Diverged { peer } => {
                tracing::warn!(%peer, "a control node has heard the same and has another table; both are compared with the media nodes");
            }
            Event::Ready => tracing::info!(sessions = self.table().size().open, "the session table is ready"),
            Event::Applied { .. } | Event::Asked { .. } | Event::Answered { .. } | Event::Unanswered => {}
        }
    }
}
