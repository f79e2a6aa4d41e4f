//! Pictures of live streams.

use super::helpers::{World, header, refused, until};
use proto::{session::Role, stream::Visibility};
use std::{os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

/// Two seconds of a test picture; `None`, said plainly, without ffmpeg.
fn picture(test: &str) -> Option<Vec<u8>> {
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x180:rate=10",
            "-t",
            "2",
            "-c:v",
            "libx264",
            "-f",
            "mpegts",
            "-",
        ])
        .output();
    match made {
        Ok(made) if made.status.success() => Some(made.stdout),
        _ => {
            kit::testing::skipped(test, "there is no ffmpeg with libx264");
            None
        }
    }
}

async fn live(settings: &[(&str, &str)], segment: Vec<u8>) -> World {
    let world = World::with_segments(1, settings).await;
    world.node().put("cam-5.ts", segment);
    until("the edge has heard", || async { world.get(0, "/live/cam.m3u8").await.status() == 200 }).await;
    world
}

#[actix_web::test]
async fn a_picture_is_cut_once_for_all_who_ask() {
    let Some(segment) = picture("a_picture_is_cut_once_for_all_who_ask") else { return };
    let world = live(&[], segment).await;
    let all = futures_util::future::join_all((0..20).map(|_| world.get(0, "/live/cam.jpg"))).await;
    let mut bodies = Vec::new();
    for answer in all {
        assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (200, "image/jpeg".into()));
        assert_eq!(header(&answer, "cache-control"), "public, max-age=10");
        bodies.push(answer.bytes().await.unwrap());
    }
    assert!(bodies[0].starts_with(&[0xff, 0xd8, 0xff]) && bodies.iter().all(|body| body == &bodies[0]));
    assert_eq!(world.metric("keystone_edge_thumbnails_total{outcome=\"cut\"}").await, Some(1));
    world.truth.add_stream("cam", Visibility::Private);
    until("it is private", || async { world.get(0, "/live/cam.jpg").await.status() == 401 }).await;
    let token = world.token("cam", Role::Play);
    let own = world.get(0, &format!("/live/cam.jpg?token={token}")).await;
    assert_eq!((own.status().as_u16(), header(&own, "cache-control")), (200, "private, max-age=10".into()));
}

#[actix_web::test]
async fn without_ffmpeg_or_a_picture_there_is_none_and_the_edge_is_ready() {
    let world = live(&[("EDGE_FFMPEG", "/nowhere/ffmpeg")], b"no media".to_vec()).await;
    refused(world.get(0, "/live/cam.jpg").await, 404, "thumbnails-off").await;
    assert_eq!(world.get(0, "/readyz").await.status(), 200);
    refused(world.get(0, "/live/nobody.jpg").await, 404, "thumbnail-absent").await;
    let off = live(&[("EDGE_FFMPEG", "off")], Vec::new()).await;
    refused(off.get(0, "/live/cam.jpg").await, 404, "thumbnails-off").await;
    let world = live(&[("EDGE_FFMPEG", "/bin/false")], b"no media".to_vec()).await;
    refused(world.get(0, "/live/cam.jpg").await, 404, "thumbnail-absent").await;
}

#[actix_web::test]
async fn a_child_that_does_not_end_is_killed() {
    let dir = std::env::temp_dir().join(format!("edge-thumbnail-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (program, pid) = (dir.join("ffmpeg"), dir.join("pid"));
    std::fs::write(&program, format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", pid.display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let world = live(&[("EDGE_FFMPEG", program.to_str().unwrap())], b"no media".to_vec()).await;
    let begun = std::time::Instant::now();
    refused(world.get(0, "/live/cam.jpg").await, 404, "thumbnail-absent").await;
    assert!(begun.elapsed() < Duration::from_secs(16));
    let child = std::fs::read_to_string(&pid).unwrap();
    let alive = || std::path::Path::new("/proc").join(child.trim()).join("exe").read_link().is_ok();
    until("the child is gone", || async { !alive() }).await;
    std::fs::remove_dir_all(&dir).unwrap();
}
