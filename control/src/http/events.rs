//! `GET /v1/events`: server-sent events, each named by its kind with the event's JSON as data.
//!
//! There is no backlog: `Last-Event-ID` is not honoured, because Redis keeps none. A reader that comes back asks the lists anew. One that is too
//! slow for its queue is cut with a last event `overrun`, and so is everybody when news was lost on the way here (`gap`).

use super::caller::{self, User};
use crate::{
    app::State,
    domain::sessions::may,
    error::ApiError,
    jobs::news::{Heard, Item},
};
use actix_web::{HttpRequest, HttpResponse, http::header, web};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use proto::{StreamId, UserId, api::UserRole, event::Event};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Interval, MissedTickBehavior, interval},
};

/// Between comments that keep proxies from closing a silent connection.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// What a browser waits before it comes back, in milliseconds.
const HELLO: &[u8] = b"retry: 2000\n\n";

/// `?stream=`.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only events of this stream.
    pub stream: Option<String>,
}

/// One open event stream.
struct Listener {
    heard: Receiver<Item>,
    who: (UserId, UserRole),
    only: Option<StreamId>,
    comments: Interval,
    state: web::Data<State>,
    over: bool,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.state.media.listeners(-1);
    }
}

/// Opens an event stream: an owner hears of their streams, an admin everything.
///
/// # Errors
/// [`ApiError::TooManyListeners`]; a stream that is no stream id.
#[utoipa::path(get, path = "/v1/events", tag = "events", security(("bearer" = [])), params(EventsQuery),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 503, description = "too-many-listeners")))]
pub async fn events(user: User, req: HttpRequest, query: web::Query<EventsQuery>) -> Result<HttpResponse, ApiError> {
    let state = caller::state(&req);
    let only = query.stream.as_deref().map(StreamId::parse).transpose().map_err(|_| ApiError::StreamNotFound)?;
    let heard = state.news.listen().ok_or(ApiError::TooManyListeners)?;
    let mut comments = interval(COMMENT_EVERY);
    comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    comments.reset();
    state.media.listeners(1);
    let listener = Listener { heard, who: user.identity.who(), only, comments, state, over: false };
    let hello = stream::once(async { Ok::<_, std::convert::Infallible>(Bytes::from_static(HELLO)) });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(hello.chain(told(listener))))
}

fn told(listener: Listener) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    stream::unfold(listener, |mut listener| async move {
        let bytes = listener.next().await?;
        Some((Ok(bytes), listener))
    })
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        loop {
            tokio::select! {
                biased;
                item = self.heard.recv() => match item {
                    Ok(Item::Heard(heard)) if self.takes(&heard) => return Some(heard.text.clone()),
                    Ok(Item::Heard(_)) => {}
                    Ok(Item::Gap) => return Some(self.last("gap")),
                    Err(RecvError::Lagged(_)) => {
                        self.state.media.event("slow");
                        return Some(self.last("overrun"));
                    }
                    Err(RecvError::Closed) => return None,
                },
                () = self.state.stopping.cancelled() => return None,
                _ = self.comments.tick() => return Some(Bytes::from_static(b": still here\n\n")),
            }
        }
    }

    fn last(&mut self, name: &str) -> Bytes {
        self.over = true;
        Bytes::from(format!("event: {name}\ndata: {{}}\n\n"))
    }

    fn takes(&self, heard: &Arc<Heard>) -> bool {
        let stream = heard.stream.as_ref();
        if self.only.as_ref().is_some_and(|only| stream != Some(only)) {
            return false;
        }
        match &heard.event {
            // Edges and controls need these; a user is told by the end of the sessions that follows.
            Event::SecretsChanged
            | Event::MembersChanged { .. }
            | Event::KeyRevoked { .. }
            | Event::TokenRevoked { .. } => false,
            Event::NodeUp { .. } | Event::NodeDown { .. } => self.who.1 == UserRole::Admin,
            Event::StreamLive { owner, .. }
            | Event::StreamEnded { owner, .. }
            | Event::SessionOpened { owner, .. }
            | Event::SessionClosed { owner, .. }
            | Event::StreamChanged { owner, .. } => may(*owner, self.who),
        }
    }
}
