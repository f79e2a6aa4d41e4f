//! Hooks of media nodes, forwarded: an address that outlives any one control-api (`/v1/hooks/…` of the edge beside a node).
//!
//! A hook goes to the control-apis in turn ([`forward`]) and their answer goes back as it is. When none answers, [`core`] decides by the ticket
//! alone; what was let in or ended so is told to the replica and the other edges, kept in the [`journal`], and handed in ([`courier`]) as soon
//! as a control-api takes it. While the journal has an entry of a client, what that client tells next goes behind it, so that order is kept.

pub mod bound;
pub mod core;
mod courier;
mod forward;
pub mod journal;
mod vouched;

pub(crate) use courier::Courier;
pub(crate) use forward::Answer;

use self::core::{Facts, Own};
use crate::{
    admit::{Limiter, RateLimit},
    control::Control,
    error::ApiError,
    metrics::{Metrics, hooks::Outcome},
    replica::{Replica, feed::Listener},
};
use bound::Bound;
use bytes::Bytes;
use forward::{Forward, Outgoing};
use journal::Journal;
use kit::kv::Kv;
use proto::{
    NodeId,
    event::Event,
    journal::JournalEntry,
    secret::sha256,
    session::{EndReason, Role},
    srs::hook::{Action, Hook},
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use vouched::Vouched;

/// Hooks and heartbeats under way at once at most.
const IN_FLIGHT_MAX: usize = 1024;
/// Hooks from one address: a node whose thousands of clients all come back within seconds stays under it.
const HOOK_LIMIT: RateLimit = RateLimit::On { per_second: 2_000, burst: 10_000 };
/// Heartbeats and registrations from one address: SRS sends one in a few seconds, and several nodes may share an address.
const BEAT_LIMIT: RateLimit = RateLimit::On { per_second: 50, burst: 200 };
/// News waiting to be published at most; more are only told to this edge's own replica.
const NEWS_MAX: usize = 1_024;
/// How long a hook that asks waits for the journal to be handed in before it is forwarded.
const SETTLE_MAX: Duration = Duration::from_millis(300);

/// What a node is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A control-api's words.
    Forwarded(Answer),
    /// Our own yes to this action.
    Yes(Action),
    /// Our own no.
    No(u16),
}

/// Which of the two addresses of a node's own news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// SRS 5 to 7.
    Heartbeat,
    /// SRS 8.
    Register,
}

/// The secret a node showed: in the path, never in a log.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    /// The node it says it is.
    pub(crate) node: &'a NodeId,
    /// Its secret.
    pub(crate) secret: &'a SecretString,
}

impl Shown<'_> {
    fn digest(&self) -> [u8; 32] {
        sha256(format!("{}/{}", self.node, self.secret.expose_secret()).as_bytes())
    }

    fn path(&self, what: &str) -> SecretString {
        format!("/v1/hooks/{what}/{}/{}", self.node, self.secret.expose_secret()).into()
    }
}

#[derive(Debug, Default)]
struct State {
    journal: Journal,
    bound: Bound,
    vouched: Vouched,
}

#[derive(Debug)]
struct Inner {
    forward: Forward,
    control: Control,
    replica: Replica,
    metrics: Metrics,
    state: Mutex<State>,
    listener: Listening,
    news: mpsc::Sender<Event>,
    /// Wakes the courier.
    wake: Notify,
    /// Whether entries are left, and how often handing in failed.
    left: watch::Sender<(usize, u64)>,
    hooks: Limiter,
    beats: Limiter,
    slots: Semaphore,
}

/// Who hears of streams besides the replica.
struct Listening(Arc<dyn Listener>);

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listening")
    }
}

/// The forwarder; every clone is the same one.
#[derive(Debug, Clone)]
pub(crate) struct Hooks(Arc<Inner>);

impl Hooks {
    /// Wires it. The courier is to be run.
    ///
    /// # Errors
    /// When TLS roots cannot be read.
    pub(crate) fn new(
        control: Control,
        replica: Replica,
        listener: Arc<dyn Listener>,
        kv: Kv,
        metrics: Metrics,
    ) -> reqwest::Result<(Self, Courier)> {
        let (news, told) = mpsc::channel(NEWS_MAX);
        let hooks = Self(Arc::new(Inner {
            forward: Forward::new(control.clone())?,
            control,
            replica,
            metrics,
            state: Mutex::default(),
            listener: Listening(listener),
            news,
            wake: Notify::new(),
            left: watch::Sender::new((0, 0)),
            hooks: Limiter::new(HOOK_LIMIT),
            beats: Limiter::new(BEAT_LIMIT),
            slots: Semaphore::new(IN_FLIGHT_MAX),
        }));
        let courier = Courier::new(hooks.clone(), kv, told);
        Ok((hooks, courier))
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, kind: &'static str, outcome: Outcome) {
        self.0.metrics.hooks().hook(kind, outcome);
    }

    /// Somebody called who may not.
    pub(crate) fn stranger(&self, kind: &'static str) {
        self.count(kind, Outcome::Stranger);
    }

    /// Counts a hook of `from` against its limit.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`].
    pub(crate) fn limit(&self, kind: &'static str, beat: bool, from: IpAddr) -> Result<(), ApiError> {
        let limiter = if beat { &self.0.beats } else { &self.0.hooks };
        let verdict = limiter.locally(if beat { "beat" } else { "hook" }, from, kit::clock::since_epoch());
        if verdict.is_err() {
            self.count(kind, Outcome::Limited);
        }
        verdict
    }

    /// Answers a hook.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] when too many are under way.
    pub(crate) async fn hook(&self, from: IpAddr, shown: Shown<'_>, body: Bytes) -> Result<Reply, ApiError> {
        let Ok(_slot) = self.0.slots.try_acquire() else {
            self.count("unread", Outcome::Limited);
            return Err(ApiError::RateLimited { retry_after: 1 });
        };
        // A node that speaks under another's name is for control-api to refuse.
        let hook: Option<Hook> =
            serde_json::from_slice(&body).ok().filter(|h: &Hook| h.server_id == shown.node.as_str());
        let kind = hook.as_ref().map_or("unread", |hook| hook.action.as_str());
        let mine = hook.as_ref().filter(|_| body.len() <= core::BODY_BYTES_MAX);
        let digest = shown.digest();
        if let Some(reply) = mine.and_then(|hook| self.behind_the_journal(hook, &digest, &body)) {
            self.0.wake.notify_one();
            self.count(kind, Outcome::Accepted);
            return Ok(reply);
        }
        if hook.as_ref().is_some_and(|hook| core::asks(hook.action).is_some()) {
            self.settle().await;
        }
        let sure = mine.is_some_and(|hook| !matches!(self.state(|s| self.decide(s, hook, &digest)), Own::No(_)));
        let outgoing = Outgoing { path: shown.path("srs"), from, body: body.clone(), bearer: None };
        if let Some(answer) = self.0.forward.ask(&outgoing, !sure).await {
            self.learn(hook.as_ref(), digest, &answer);
            self.count(kind, Outcome::Forwarded);
            return Ok(Reply::Forwarded(answer));
        }
        let reply = mine.map_or(Reply::No(core::No::Malformed.code()), |hook| self.answer(hook, &digest, &body));
        let refused = matches!(reply, Reply::No(_));
        self.count(kind, if refused { Outcome::Refused } else { Outcome::Accepted });
        Ok(reply)
    }

    /// Passes a heartbeat or registration on; nobody else can say anything to it.
    ///
    /// # Errors
    /// [`ApiError::Away`]; [`ApiError::RateLimited`] when too many are under way.
    pub(crate) async fn beat(
        &self,
        beat: Beat,
        from: IpAddr,
        shown: Option<Shown<'_>>,
        bearer: Option<SecretString>,
        body: Bytes,
    ) -> Result<Answer, ApiError> {
        let kind = match beat {
            Beat::Heartbeat => "heartbeat",
            Beat::Register => "register",
        };
        let Ok(_slot) = self.0.slots.try_acquire() else {
            self.count(kind, Outcome::Limited);
            return Err(ApiError::RateLimited { retry_after: 1 });
        };
        let path = shown.as_ref().map_or_else(|| proto::srs::REGISTER_PATH.into(), |shown| shown.path("heartbeat"));
        let outgoing = Outgoing { path, from, body, bearer };
        let Some(answer) = self.0.forward.ask(&outgoing, false).await else {
            self.count(kind, Outcome::Unanswered);
            return Err(ApiError::Away { what: "control-api" });
        };
        if let Some(shown) = shown {
            self.state(|state| state.vouched.heed(shown.digest(), answer.status));
        }
        self.count(kind, Outcome::Forwarded);
        Ok(answer)
    }

    fn decide(&self, state: &State, hook: &Hook, digest: &[u8; 32]) -> Own {
        let secrets = self.0.replica.secrets();
        let known = hook.stream().ok().and_then(|stream| self.0.replica.placements(|all| all.get(&stream).cloned()));
        // `on_close` names no stream: it ends what its client held.
        let from = core::client(hook);
        let held = from.as_ref().and_then(|from| state.bound.of(from).map(|held| held.stream.clone()));
        let placement = known.or_else(|| self.0.replica.placements(|all| all.get(&held?).cloned()));
        let facts = Facts {
            keyring: secrets.as_ref().map(|secrets| &secrets.keyring),
            placement: placement.as_ref(),
            bound: &state.bound,
            vouched: state.vouched.has(digest) || from.as_ref().is_some_and(|from| state.journal.has(from)),
            now_ms: kit::clock::unix_ms(),
        };
        core::decide(hook, &facts, |session| self.0.replica.closed(session))
    }

    /// The answer to what must come after something that is still in the journal.
    fn behind_the_journal(&self, hook: &Hook, digest: &[u8; 32], body: &Bytes) -> Option<Reply> {
        let client = core::client(hook)?;
        self.state(|state| {
            let own = state.journal.has(&client).then(|| self.decide(state, hook, digest))?;
            matches!(own, Own::Opens(..) | Own::Ends(..)).then(|| self.carry_out(state, own, hook, body))
        })
    }

    /// Our own answer.
    fn answer(&self, hook: &Hook, digest: &[u8; 32], body: &Bytes) -> Reply {
        let reply = self.state(|state| {
            let own = self.decide(state, hook, digest);
            self.carry_out(state, own, hook, body)
        });
        self.0.wake.notify_one();
        reply
    }

    fn carry_out(&self, state: &mut State, own: Own, hook: &Hook, body: &Bytes) -> Reply {
        let now_ms = kit::clock::unix_ms();
        let yes = Reply::Yes(hook.action);
        let (client, news) = match own {
            Own::Yes => return yes,
            Own::No(no) => {
                tracing::info!(
                    action = hook.action.as_str(),
                    reason = no.as_str(),
                    "no control-api answers; a hook was refused here"
                );
                return Reply::No(no.code());
            }
            Own::Opens(client, held) => {
                let live = (held.role == Role::Publish)
                    .then(|| Event::StreamLive { placement: held.placement(&client), owner: None });
                state.bound.bind(client.clone(), held);
                (client, live)
            }
            Own::Ends(client, over) => {
                state.bound.release(&client);
                let (owner, reason) = (None, EndReason::ClientLeft);
                let ended = over.map(|at| Event::StreamEnded { stream: at.stream, epoch: at.epoch, owner, reason });
                (client, ended)
            }
        };
        let body = String::from_utf8_lossy(body).into_owned();
        let entry = JournalEntry { node: client.node.clone(), body, at_ms: now_ms };
        let dropped = state.journal.push(client, entry);
        if dropped > 0 {
            tracing::warn!(dropped, "the journal of hooks is full: its oldest entries are lost");
            self.0.metrics.hooks().dropped(dropped);
        }
        self.show(state, false);
        if let Some(event) = news {
            self.tell(&event);
        }
        yes
    }

    /// Tells this edge, and through the courier the others.
    fn tell(&self, event: &Event) {
        match event {
            Event::StreamLive { placement, .. } => self.0.replica.change_placements(|all| all.live(placement.clone())),
            Event::StreamEnded { stream, epoch, .. } => {
                self.0.replica.change_placements(|all| all.ended(stream, *epoch));
            }
            Event::SessionOpened { .. }
            | Event::SessionClosed { .. }
            | Event::TokenRevoked { .. }
            | Event::StreamChanged { .. }
            | Event::KeyRevoked { .. }
            | Event::SecretsChanged
            | Event::MembersChanged { .. }
            | Event::NodeUp { .. }
            | Event::NodeDown { .. } => return,
        }
        self.0.listener.0.event(event);
        if self.0.news.try_send(event.clone()).is_err() {
            tracing::debug!("news of a stream stays on this edge: too much is waiting");
        }
    }

    /// Shows how long the journal is.
    fn show(&self, state: &State, failed: bool) {
        let left = state.journal.len();
        self.0.metrics.hooks().journal(left);
        self.0.left.send_modify(|now| *now = (left, now.1.wrapping_add(u64::from(failed))));
    }

    /// Waits until control-api has the journal, or could not take it, but not long: what it does not know of yet came before this hook.
    async fn settle(&self) {
        let mut left = self.0.left.subscribe();
        let (entries, failed) = *left.borrow();
        if entries == 0 {
            return;
        }
        self.0.wake.notify_one();
        let settled = left.wait_for(|now| now.0 == 0 || now.1 != failed);
        drop(tokio::time::timeout(SETTLE_MAX, settled).await);
    }

    /// What a control-api's answer says for later, when none answers.
    fn learn(&self, hook: Option<&Hook>, digest: [u8; 32], answer: &Answer) {
        self.state(|state| state.vouched.heed(digest, answer.status));
        let Some((hook, from)) = hook.and_then(|hook| Some((hook, core::client(hook)?))) else { return };
        if core::ends(hook.action) && answer.is_yes() {
            self.state(|state| state.bound.release(&from));
        }
        let Some(role) = core::asks(hook.action).filter(|_| answer.is_yes()) else { return };
        let secrets = self.0.replica.secrets();
        if let Ok((stream, ticket)) = core::ticket(hook, &from, secrets.as_ref().map(|secrets| &secrets.keyring)) {
            let (session, protocol, epoch) = (ticket.session, ticket.protocol, ticket.epoch);
            let held = bound::Held { stream, session, role, protocol, epoch, since_ms: kit::clock::unix_ms() };
            self.state(|state| state.bound.bind(from, held));
        }
    }
}
