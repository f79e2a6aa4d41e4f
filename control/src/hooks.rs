//! What a media node asks and tells, carried out. The answer SRS gets is made in [`crate::http::hooks`].

pub mod heartbeat;
pub mod play;
pub mod publish;

use crate::{
    app::State,
    away,
    domain::{
        claims::Owner,
        hooks::{Kind, Refusal, kind, stream},
    },
    kicker,
    metrics::media::Answered,
    sessions::live,
    store::pg::claims::{self, Which},
};
use kit::clock;
use proto::{StreamId, session::EndReason, srs::hook::Hook};

/// Decides a hook. The node's secret and name were checked before.
pub async fn handle(state: &State, hook: &Hook) -> Answered {
    let Ok((node, service, client)) = hook.origin() else { return Answered::Refused(Refusal::Malformed) };
    state.health.hook(&node, &service, clock::unix_ms());
    let from = Owner { node, service, client };
    match kind(hook.action) {
        Kind::Publish => answer(state, hook, &from, publishes(state, hook, &from).await).await,
        Kind::Play => answer(state, hook, &from, plays(state, hook, &from).await).await,
        Kind::Connect => answer(state, hook, &from, stream(hook).map(|_| ())).await,
        Kind::Unpublish => unpublished(state, hook, &from).await,
        Kind::Stop => told(live::closed(state, &from, EndReason::ClientLeft).await),
        Kind::Close => closed(state, hook, &from).await,
        Kind::Forward | Kind::Told => Answered::Accepted,
    }
}

async fn publishes(state: &State, hook: &Hook, from: &Owner) -> Result<(), Refusal> {
    publish::decide(state, hook, from, &stream(hook)?).await
}

async fn plays(state: &State, hook: &Hook, from: &Owner) -> Result<(), Refusal> {
    play::decide(state, hook, from, &stream(hook)?).await
}

/// Writes the one line of a refusal and what it owes, before SRS hears it.
async fn answer(state: &State, hook: &Hook, from: &Owner, decided: Result<(), Refusal>) -> Answered {
    let Err(refusal) = decided else { return Answered::Accepted };
    if hook.refusal_needs_kick() {
        kicker::owe_refused(state, from).await;
    }
    // The stream's name is a stranger's text here, and `param` holds credentials: neither is written as it came.
    let stream = hook.stream().ok();
    tracing::info!(action = hook.action.as_str(), node = %from.node, client = %from.client,
        stream = stream.as_ref().map_or("(no stream id)", StreamId::as_str), protocol = hook.protocol().as_str(),
        ip = %hook.ip.escape_debug(), reason = refusal.as_str(), "hook refused");
    Answered::Refused(refusal)
}

const fn told(known: bool) -> Answered {
    if known { Answered::Accepted } else { Answered::Nothing }
}

/// The owner's end frees the stream; anybody else's (a refused WHIP, a busy SRT publisher) is nothing.
async fn unpublished(state: &State, hook: &Hook, from: &Owner) -> Answered {
    let Ok(stream) = stream(hook) else { return Answered::Nothing };
    end(state, hook, from, Some(&stream)).await
}

/// Names no stream: whatever the connection held is over.
async fn closed(state: &State, hook: &Hook, from: &Owner) -> Answered {
    let published = end(state, hook, from, None).await;
    let played = live::closed(state, from, EndReason::ClientLeft).await;
    if played { Answered::Accepted } else { published }
}

async fn end(state: &State, hook: &Hook, from: &Owner, stream: Option<&StreamId>) -> Answered {
    let which = stream.map_or(Which::Client(from), |stream| Which::Connection(from, Some(stream)));
    if state.away.is_on() {
        return told(away::ended(state, hook, from, stream).await);
    }
    match claims::end(&state.pg, which, EndReason::ClientLeft).await {
        Ok(ended) => {
            for publisher in &ended {
                live::ended(state, publisher, EndReason::ClientLeft).await;
            }
            state.media.claims("ended", ended.len());
            told(!ended.is_empty())
        }
        Err(error) if state.away.notes(&error) => told(away::ended(state, hook, from, stream).await),
        Err(error) => {
            tracing::warn!(%error, "a publisher's end cannot be written down; the reconciliation finds it");
            Answered::Nothing
        }
    }
}
