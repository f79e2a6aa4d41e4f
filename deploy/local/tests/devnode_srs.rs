//! The media clients against a real SRS: what they speak is what SRS speaks.

#![allow(clippy::print_stdout, reason = "what was counted belongs to the log of a test")]

mod devnode_support;

use devnode_support::{PATIENCE, need, srs};
use keystone::media::{self, MediaError, PlayOptions, PublishOptions, State};

#[tokio::test]
async fn real_srs_carries_frames_from_the_publisher_to_two_viewers() {
    need("ffmpeg");
    let Some(srs) = srs::start().await else { return };
    let url = |role: &str| format!("{}/rtc/v1/{role}/?app=live&stream=one", srs.api);
    let publisher = media::publish(PublishOptions { url: url("whip"), ..Default::default() }).await.unwrap();
    publisher.until(PATIENCE, |stats| stats.frames_video >= 15 && stats.frames_audio >= 15).await.unwrap();
    assert!(publisher.session_url().contains("/rtc/v1/whip/?action=delete&token="), "{}", publisher.session_url());

    let busy = media::publish(PublishOptions { url: url("whip"), ..Default::default() }).await;
    assert!(matches!(busy, Err(MediaError::NoAnswer(_))), "{busy:?}");

    let viewers = [
        media::play(PlayOptions { url: url("whep"), ..Default::default() }).await.unwrap(),
        media::play(PlayOptions { url: url("whep"), ..Default::default() }).await.unwrap(),
    ];
    for viewer in viewers {
        let seen = viewer.until(PATIENCE, |s| s.frames_video >= 45 && s.frames_audio >= 60 && s.keyframes >= 2).await;
        let seen = seen.unwrap();
        println!("viewer: {seen:?}");
        assert_eq!(seen.frames_bad, 0);
        assert_eq!(viewer.stop().await.unwrap().state, State::Stopped);
    }
    let sent = publisher.stop().await.unwrap();
    println!("publisher: {sent:?}");
    assert_eq!(sent.state, State::Stopped);
}
