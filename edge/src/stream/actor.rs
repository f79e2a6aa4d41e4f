//! IO shell of one stream: feeds [`StreamCore`] and carries out its outputs. Holds no rules.
//!
//! Started by the registry on an arbiter chosen by the stream's id; ends when the core says so or every handle is gone. Bounds: the door's
//! capacity, one look-up and one confirmation in flight.

use super::{
    core::{Answer, AskId, Input, Mono, Output, StreamCore},
    handle::{Command, Question, Shared},
    lookup::Lookup,
};
use crate::metrics::Metrics;
use actix::{
    Actor, ActorContext, ActorFutureExt as _, AsyncContext, Context, SpawnHandle, StreamHandler, WrapFuture as _,
};
use futures_util::StreamExt as _;
use proto::{StreamId, handle::Handle};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

/// Sessions of one stream that are ended at their node at the same time, at most.
const EXPELLED_AT_ONCE: usize = 8;

pub(super) struct StreamActor {
    core: StreamCore,
    shared: Arc<Shared>,
    lookup: Lookup,
    metrics: Metrics,
    replies: HashMap<AskId, oneshot::Sender<Answer>>,
    asked: AskId,
    sessions: (usize, usize),
    timer: Option<SpawnHandle>,
}

impl StreamActor {
    pub(super) fn start(shared: Arc<Shared>, commands: mpsc::Receiver<Command>, lookup: Lookup, metrics: Metrics) {
        Self::create(move |ctx| {
            ctx.add_stream(ReceiverStream::new(commands));
            let core = StreamCore::new(shared.now(), lookup.replica.news_healthy());
            Self { core, shared, lookup, metrics, replies: HashMap::new(), asked: 0, sessions: (0, 0), timer: None }
        });
    }

    fn stream(&self) -> &StreamId {
        &self.shared.stream
    }

    /// The only way into the core, and the only place effects happen.
    fn step(&mut self, input: Input, ctx: &mut Context<Self>) {
        let now = self.shared.now();
        for output in self.core.handle(now, input) {
            match output {
                Output::Answer(ask, answer) => self.answer(ask, answer),
                Output::Show(placement, until) => self.shared.show(placement, until),
                Output::Lookup => self.look_up(ctx),
                Output::Confirm(ids) => self.confirm(ids, ctx),
                Output::Lost(ids) => self.lost(&ids),
                Output::Expel(sessions) => self.expel(sessions),
                Output::Sessions(held) => self.count(held),
                Output::Wait(until) => self.arm(until.saturating_sub(now), ctx),
                Output::End => {
                    self.shared.end();
                    tracing::debug!(stream.id = %self.stream(), "stream actor ends: nobody asks for it");
                    ctx.stop();
                }
            }
        }
    }

    /// A question whose asker has gone needs no answer: what it had taken is given back by its own guard.
    fn answer(&mut self, ask: AskId, answer: Answer) {
        if let Some(reply) = self.replies.remove(&ask) {
            drop(reply.send(answer));
        }
    }

    fn look_up(&mut self, ctx: &mut Context<Self>) {
        let (lookup, stream) = (self.lookup.clone(), self.stream().clone());
        let look = async move { lookup.place(&stream).await };
        ctx.spawn(look.into_actor(self).map(|answer, actor, ctx| actor.step(Input::Looked(answer), ctx)));
    }

    fn confirm(&mut self, ids: Vec<proto::SessionId>, ctx: &mut Context<Self>) {
        let lookup = self.lookup.clone();
        let ask = async move { lookup.confirm(ids).await.unwrap_or_default() };
        ctx.spawn(ask.into_actor(self).map(|(alive, gone), actor, ctx| {
            // Relayed sessions whose end was not heard.
            gone.iter().for_each(|session: &proto::SessionId| actor.lookup.replica.learn_closed(*session));
            actor.step(Input::Confirmed { alive, gone }, ctx);
            actor.check_passes(ctx);
        }));
    }

    /// Sessions whose URLs are 404 from now on.
    fn lost(&self, ids: &[proto::SessionId]) {
        ids.iter().for_each(|id| self.lookup.replica.learn_closed(*id));
        self.metrics.nodes().sessions_lost(ids.len());
        tracing::info!(stream.id = %self.stream(), sessions = ids.len(), "sessions are gone with their node");
    }

    /// Ends sessions, relayed ones by saying so, others at their node; they are over for this edge already.
    fn expel(&self, sessions: Vec<(proto::SessionId, Option<Handle>)>) {
        sessions.iter().for_each(|(session, _)| self.lookup.replica.learn_closed(*session));
        tracing::info!(stream.id = %self.stream(), sessions = sessions.len(), "sessions end with the token that let them in");
        let handles: Vec<Handle> = sessions.into_iter().filter_map(|(_, handle)| handle).collect();
        let (lookup, metrics) = (self.lookup.clone(), self.metrics.clone());
        // Goes on when the actor ends, and on its thread: the media must stop.
        actix::spawn(async move {
            let ends = handles.into_iter().map(|handle| {
                let lookup = lookup.clone();
                async move { lookup.expel(&handle).await }
            });
            let ended: Vec<bool> = futures_util::stream::iter(ends).buffer_unordered(EXPELLED_AT_ONCE).collect().await;
            metrics.nodes().expelled(ended.len(), ended.iter().filter(|ended| !**ended).count());
        });
    }

    /// Revocations that were told while nobody listened.
    fn check_passes(&mut self, ctx: &mut Context<Self>) {
        let revoked: Vec<_> = self.core.passes().into_iter().filter(|jti| self.lookup.replica.revoked(jti)).collect();
        revoked.into_iter().for_each(|jti| self.step(Input::Revoked(jti), ctx));
    }

    fn count(&mut self, held: usize) {
        let now = (held, self.core.publishers());
        self.metrics.sessions_changed(self.sessions, now);
        self.sessions = now;
    }

    fn arm(&mut self, after: Mono, ctx: &mut Context<Self>) {
        if let Some(old) = self.timer.take() {
            ctx.cancel_future(old);
        }
        self.timer = Some(ctx.run_later(after, |actor, ctx| {
            actor.timer = None;
            actor.step(Input::Timeout, ctx);
        }));
    }
}

impl Actor for StreamActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.metrics.actor_started();
        self.step(Input::Timeout, ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.shared.end();
        self.metrics.actor_ended();
        self.metrics.sessions_changed(self.sessions, (0, 0));
        self.sessions = (0, 0);
    }
}

impl StreamHandler<Command> for StreamActor {
    fn handle(&mut self, command: Command, ctx: &mut Self::Context) {
        match command {
            Command::Tell(input) => {
                let news = matches!(input, Input::News { healthy: true });
                self.step(input, ctx);
                if news {
                    self.check_passes(ctx);
                }
            }
            Command::Ask(_, reply) if reply.is_closed() => {}
            Command::Ask(question, reply) => {
                self.asked += 1;
                let ask = self.asked;
                self.replies.insert(ask, reply);
                let input = match question {
                    Question::Where => Input::Ask(ask),
                    Question::Attempt(session) => Input::Attempt(ask, session),
                    Question::Session(session) => Input::AskSession(ask, session),
                };
                self.step(input, ctx);
            }
        }
    }
}
