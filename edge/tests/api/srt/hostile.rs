//! What strangers may send: it is counted, answered within bounds, and leaves nothing behind.

use super::{
    Srt,
    caller::{CONCLUSION, Call, Caller, extensions, handshake},
};
use crate::helpers::until;
use std::time::Duration;

#[actix_web::test]
async fn an_induction_flood_is_bounded_and_leaves_nothing() {
    let srt = Srt::start().await;
    let live = srt.call(&srt.publish("cam")).await.ok().unwrap();
    let flood = Caller::new(srt.world.srt(0)).await;
    for socket in 1..=20_000_u32 {
        // A full queue is the flooder's own loss.
        drop(flood.udp.try_send(&handshake(1, 4, socket, 0, &[])));
        if socket % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    until("its budget is spent", || async { srt.counted("keystone_edge_srt_handshakes_total", "budget").await > 0 })
        .await;
    assert_eq!(srt.world.metric("keystone_edge_srt_callers").await, Some(1), "no state before a cookie");
    live.send(b"on").await;
    until("the live caller goes on", || async { srt.nodes[0].seen().media == [b"on"] }).await;
}

#[actix_web::test]
async fn garbage_and_forged_cookies_are_counted_and_not_answered() {
    let srt = Srt::start().await;
    let stranger = Caller::new(srt.world.srt(0)).await;
    let call = Call::plain("live/cam");
    let whole = stranger.conclusion(&call, 1);
    for length in 0..whole.len() {
        stranger.udp.send(&whole[..length]).await.unwrap();
    }
    stranger.udp.send(&whole).await.unwrap();
    stranger.udp.send(&handshake(0, 5, stranger.id, 0, &[])).await.unwrap();
    stranger.udp.send(&super::caller::media_for(7, b"nobody's")).await.unwrap();
    stranger.udp.send(&[0x80; 2000]).await.unwrap();
    let counted = |label: &'static str| srt.counted("keystone_edge_srt_handshakes_total", label);
    until("all is counted", || async {
        counted("cookie").await >= 1 && counted("step").await >= 1 && counted("garbage").await >= 16
    })
    .await;
    until("nobody's media too", || async { counted("no_connection").await >= 1 }).await;
    assert!(stranger.hear(Duration::from_millis(300)).await.is_none(), "nothing is answered");
    assert_eq!(srt.world.metric("keystone_edge_srt_callers").await, Some(0));
}

#[actix_web::test]
async fn truncated_extensions_behind_a_good_cookie_are_refused_without_a_seat() {
    let srt = Srt::start().await;
    let stranger = Caller::new(srt.world.srt(0)).await;
    let cookie = stranger.cookie().await;
    let mut broken = extensions(&Call::plain("live/cam"));
    broken.truncate(broken.len() - 1);
    stranger.udp.send(&handshake(CONCLUSION, 5, stranger.id, cookie, &broken)).await.unwrap();
    let answer = stranger.hear(Duration::from_secs(5)).await.unwrap();
    let read = proto::wire::srt::Handshake::read(&answer).unwrap();
    assert_eq!(read.kind, proto::wire::srt::Kind::Rejection(1400));
    assert_eq!(srt.world.metric("keystone_edge_srt_callers").await, Some(0));
}

#[actix_web::test]
async fn a_replayed_conclusion_starts_nothing_and_is_no_good_from_elsewhere() {
    let srt = Srt::start().await;
    let caller = Caller::new(srt.world.srt(0)).await;
    let cookie = caller.cookie().await;
    let stream_id = srt.publish("cam");
    let conclusion = caller.conclusion(&Call::plain(&stream_id), cookie);
    for _ in 0..200 {
        caller.udp.send(&conclusion).await.unwrap();
    }
    until("it is led to the node", || async { srt.nodes[0].seen().callers().len() == 1 }).await;
    let thief = Caller::new(srt.world.srt(0)).await;
    thief.udp.send(&conclusion).await.unwrap();
    until("the theft is seen", || async { srt.counted("keystone_edge_srt_handshakes_total", "cookie").await == 1 })
        .await;
    assert_eq!(srt.world.metric("keystone_edge_srt_callers").await, Some(1));
    assert_eq!(srt.nodes[0].seen().callers().len(), 1);
    assert_eq!(srt.world.metric("keystone_edge_sessions").await, Some(1));
}
