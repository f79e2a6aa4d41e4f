//! One stream, end to end: an account, a token, WHIP in and WHEP out through Caddy, any edge, a media node, and its hooks.
use crate::{
    clients::third_party,
    operator, relay,
    support::{PATIENCE, Up, eventually},
};
use keystone::{
    config::Media,
    media::{self, MediaError, PlayOptions, PublishOptions, SessionHandle, Stats},
};
use proto::{api::Live, ids::StreamId, session::Role, stream::Visibility};
use std::time::Duration;

/// A viewer that is sent 30 frames a second and gets none for this long gets none any more.
const SILENCE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn the_whole_path_and_foreign_clients_with_the_built_in_node() {
    let up = Up::start(Media::Builtin).await;
    Box::pin(whole_path(&up)).await;
    third_party(&up, "quick", "foreign clients with the built-in node").await;
    up.stop().await;
}

#[tokio::test]
async fn the_whole_path_and_foreign_clients_with_real_srs() {
    if let Some(up) = Up::start_srs("the_whole_path_and_foreign_clients_with_real_srs").await {
        Box::pin(whole_path(&up)).await;
        third_party(&up, "quick", "foreign clients with real SRS").await;
        up.stop().await;
    }
}

async fn whole_path(up: &Up) {
    let stream = up.stream(Visibility::Private).await.id;
    let publish = up.token(&stream, Role::Publish).await;
    let play = up.token(&stream, Role::Play).await;

    let local_ip = Some(up.cluster.plan().candidate());

    let nobody = watch(up, &up.whep(&stream), &play.token).await;
    assert!(matches!(&nobody, Err(MediaError::Refused { status: 409, retry_after: Some(2), .. })), "{nobody:?}");

    let options =
        PublishOptions { url: up.whip(&stream), token: Some(publish.token.clone()), local_ip, ..Default::default() };
    let publisher = media::publish(options.clone()).await.unwrap();
    let live = live(up, &stream).await;
    let second = media::publish(options).await;
    assert!(matches!(&second, Err(MediaError::Refused { status: 409, .. })), "a second publisher: {second:?}");

    let viewer =
        eventually("the stream can be watched", async || watch(up, &up.whep(&stream), &play.token).await.ok()).await;
    let seen = viewer.until(PATIENCE, |s: &Stats| s.frames_video >= 60 && s.frames_audio >= 80).await.unwrap();
    assert_eq!(seen.frames_bad, 0, "frames that do not parse");
    eventually("the API counts the viewer", async || (viewers(up, &stream).await == Some(1)).then_some(())).await;
    assert!(up.cluster.plan().nodes.iter().any(|node| node.id() == live.node.as_str()), "{live:?}");

    ends_at_the_other_edge(up, viewer).await;
    eventually("the API counts no viewer", async || (viewers(up, &stream).await == Some(0)).then_some(())).await;

    let viewer = watch(up, &up.whep(&stream), &play.token).await.unwrap();
    operator::commands(up, &stream, viewer).await;

    revoked_at_once_everywhere(up, &stream).await;

    publisher.stop().await.unwrap();
    eventually("the stream has ended", async || viewers(up, &stream).await.is_none().then_some(())).await;
    let options = PublishOptions { url: up.whip(&stream), token: Some(publish.token), local_ip, ..Default::default() };
    let again = media::publish(options).await.unwrap();
    again.until(PATIENCE, |s: &Stats| s.frames_video >= 10).await.unwrap();
    eventually("it is live again", async || viewers(up, &stream).await).await;
    again.stop().await.unwrap();
    eventually("it has ended again", async || viewers(up, &stream).await.is_none().then_some(())).await;

    Box::pin(relay::taken_over(up)).await;
}

/// The session's URL is good at every edge: DELETE goes to the one that did not open it.
async fn ends_at_the_other_edge(up: &Up, viewer: SessionHandle) {
    let opened_by = viewer.edge().expect("an edge answered").to_owned();
    let edges = up.edges().await;
    let (other, port) = edges.iter().find(|(id, _)| *id != opened_by).expect("there are two edges");
    let path = viewer.session_url().split_once("/rtc/").expect("a session URL").1.to_owned();
    let answer = reqwest::Client::new().delete(format!("http://127.0.0.1:{port}/rtc/{path}")).send().await.unwrap();
    assert_eq!(answer.status(), 200, "DELETE at {other}");
    assert_eq!(answer.headers()["x-keystone-edge"], other.as_str());
    let mut stats = viewer.watch();
    let silent = async { while let Ok(Ok(())) = tokio::time::timeout(SILENCE, stats.changed()).await {} };
    tokio::time::timeout(PATIENCE, silent).await.expect("no media comes to a session that was ended");
}

/// The very next POST with a revoked token is refused, at each edge.
async fn revoked_at_once_everywhere(up: &Up, stream: &StreamId) {
    let play = up.token(stream, Role::Play).await;
    let edges = up.edges().await;
    assert_eq!(edges.len(), 2);
    for (_, port) in &edges {
        let url = format!("http://127.0.0.1:{port}/rtc/v1/whep/{stream}");
        watch(up, &url, &play.token).await.unwrap().stop().await.unwrap();
    }
    up.user.revoke_token(stream, &play.info.id).await.unwrap();
    for (id, port) in &edges {
        let refused = watch(up, &format!("http://127.0.0.1:{port}/rtc/v1/whep/{stream}"), &play.token).await;
        assert!(matches!(&refused, Err(MediaError::Refused { status: 401, .. })), "{id}: {refused:?}");
    }
}

async fn watch(up: &Up, url: &str, token: &str) -> Result<SessionHandle, MediaError> {
    let local_ip = Some(up.cluster.plan().candidate());
    media::play(PlayOptions { url: url.to_owned(), token: Some(token.to_owned()), local_ip }).await
}

async fn viewers(up: &Up, stream: &StreamId) -> Option<u64> {
    up.user.stream(stream).await.unwrap().live.map(|live| live.viewers)
}

async fn live(up: &Up, stream: &StreamId) -> Live {
    eventually("the API says live", async || up.user.stream(stream).await.unwrap().live).await
}
