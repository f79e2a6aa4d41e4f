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
use proto::StreamId;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

pub(super) struct StreamActor {
    core: StreamCore,
    shared: Arc<Shared>,
    lookup: Lookup,
    metrics: Metrics,
    replies: HashMap<AskId, oneshot::Sender<Answer>>,
    asked: AskId,
    sessions: usize,
    timer: Option<SpawnHandle>,
}

impl StreamActor {
    pub(super) fn start(shared: Arc<Shared>, commands: mpsc::Receiver<Command>, lookup: Lookup, metrics: Metrics) {
        Self::create(move |ctx| {
            ctx.add_stream(ReceiverStream::new(commands));
            let core = StreamCore::new(shared.now(), lookup.replica.news_healthy());
            Self { core, shared, lookup, metrics, replies: HashMap::new(), asked: 0, sessions: 0, timer: None }
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
        ctx.spawn(
            ask.into_actor(self).map(|(alive, gone), actor, ctx| actor.step(Input::Confirmed { alive, gone }, ctx)),
        );
    }

    fn count(&mut self, held: usize) {
        self.metrics.sessions_changed(self.sessions, held);
        self.sessions = held;
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
        self.count(0);
    }
}

impl StreamHandler<Command> for StreamActor {
    fn handle(&mut self, command: Command, ctx: &mut Self::Context) {
        match command {
            Command::Tell(input) => self.step(input, ctx),
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
