//! The edge as a member of a fleet: nodes by membership, what it tells of them, news it missed, and what it does when nobody can be asked.

use super::helpers::{Opened, World, refused, sdp::fixture, until};
use proto::{
    ServiceId, SessionId, StreamId, TokenId,
    event::Event,
    fleet::Placement,
    keys,
    node::{Member, Met, NodeState},
    session::{Protocol, Role},
    stream::Visibility,
};
use reqwest::Method;
use serde_json::Value;

fn stream(name: &str) -> StreamId {
    StreamId::parse(name).unwrap()
}

async fn status(world: &World, method: Method, url: &str) -> u16 {
    world.request(method, url).send().await.unwrap().status().as_u16()
}

#[actix_web::test]
async fn nodes_come_from_the_membership_and_drained_ones_get_no_streams() {
    let world = World::of_members(2, &[]).await;
    until("it is ready", || async { status(&world, Method::GET, &world.url("/readyz")).await == 200 }).await;
    world.truth.members(&world.members_but(0, |member| Member { draining: true, ..member }));
    until("the drain is known", || async { world.metric("keystone_edge_membership_version").await == Some(2) }).await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(world.publish_new(name).await.1, 1);
    }
    assert!(world.nodes.iter().all(|node| node.asked() == 0), "members are not polled");
}

#[actix_web::test]
async fn without_any_node_it_starts_and_says_so_where_readiness_is_asked() {
    let world = World::of_members(0, &[]).await;
    let answer = world.request(Method::GET, &world.url("/readyz")).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let body: Value = answer.json().await.unwrap();
    let nodes = body["dependencies"].as_array().unwrap().iter().find(|d| d["name"] == "nodes").unwrap().clone();
    assert!(nodes["ready"] == false && nodes["detail"].as_str().unwrap().contains("SRS_UPSTREAM"), "{nodes}");
    refused(world.whip("pub.sdp").await, 503, "node-unavailable").await;
}

#[actix_web::test]
async fn nodes_of_its_own_zone_are_preferred() {
    let world = World::of_members(2, &[("EDGE_ZONE", "here")]).await;
    world.truth.members(&world.members_but(1, |member| Member { zone: Some("here".into()), ..member }));
    until("the zone is known", || async { world.metric("keystone_edge_membership_version").await == Some(2) }).await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(world.publish_new(name).await.1, 1);
    }
}

#[actix_web::test]
async fn a_node_that_refuses_is_told_of_at_once_passed_over_and_taken_back() {
    let world = World::of_members(2, &[]).await;
    let down = &world.nodes[0];
    down.kill().await;
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        assert_eq!(world.publish_new(name).await.1, 1);
    }
    until("it is told again while it lasts", || async { world.truth.reports(&down.node).len() >= 2 }).await;
    assert!(world.truth.reports(&down.node).iter().all(|met| *met == Met::Refused));
    down.revive("9j51a805").await;
    until("and its return is told", || async { world.truth.reports(&down.node).last() == Some(&Met::Answered) }).await;
    let told = world.truth.reports(&down.node).len();
    until("it takes streams again", || async {
        world.publish_new(&format!("s{}", kit::random::letters(8))).await.1 == 0
    })
    .await;
    assert_eq!(world.truth.reports(&down.node).len(), told, "told once");
}

#[actix_web::test]
async fn an_idle_edge_looks_at_a_suspect_and_is_the_second_witness() {
    let world = World::of_members(2, &[]).await;
    let suspect = |which| world.members_but(which, |member| Member { state: NodeState::Suspect, ..member });
    world.truth.members(&suspect(1));
    until("it answers, which is told", || async { world.truth.reports(&world.nodes[1].node) == [Met::Answered] }).await;
    world.nodes[0].kill().await;
    world.truth.members(&suspect(0));
    until("it refuses, which is told", || async { world.truth.reports(&world.nodes[0].node).contains(&Met::Refused) })
        .await;
}

#[actix_web::test]
async fn a_lost_nodes_sessions_end_at_once_and_the_next_post_goes_to_the_new_home() {
    let world = World::of_members(2, &[]).await;
    let (publisher, home) = world.publish_new("live").await;
    let viewer = Opened::of(world.watch("live").await).await;
    assert_eq!(status(&world, Method::GET, &viewer.url).await, 204);
    world.nodes[home].kill().await;
    world.truth.members(&world.members_but(home, |member| Member { state: NodeState::Down, ..member }));
    for url in [&publisher.url, &viewer.url] {
        until("its URL is gone", || async { status(&world, Method::GET, url).await == 404 }).await;
    }
    until("both are counted", || async { world.metric("keystone_edge_sessions_lost_total").await == Some(2) }).await;
    refused(world.watch("live").await, 409, "stream-not-live").await;
    world.truth.void(&stream("live"));
    let token = world.token("live", Role::Publish);
    Opened::of(world.post("/rtc/v1/whip/live", &token, fixture("pub.sdp")).await).await;
    assert_eq!(world.nodes[1 - home].held().len(), 1, "the publisher has another home");
    Opened::of(world.watch("live").await).await;
    assert_eq!(world.nodes[1 - home].held().len(), 2, "and so has the viewer");
}

#[actix_web::test]
async fn a_restart_is_told_and_ends_what_was_there() {
    let world = World::of_members(1, &[]).await;
    let (publisher, _) = world.publish_new("live").await;
    world.node().kill().await;
    world.node().revive("a1b2c3d4").await;
    world.truth.members(&world.members_but(0, |member| Member {
        state: NodeState::Suspect,
        service: Some(ServiceId::parse("9j51a805").unwrap()),
        ..member
    }));
    until("the other run is told", || async { world.truth.reports(&world.node().node) == [Met::OtherRun] }).await;
    until("its URL is gone", || async { status(&world, Method::GET, &publisher.url).await == 404 }).await;
    world.truth.void(&stream("live"));
    world.truth.members(&world.members());
    until("the new run takes streams", || async {
        let token = world.token("live", Role::Publish);
        world.post("/rtc/v1/whip/live", &token, fixture("pub.sdp")).await.status() == 201
    })
    .await;
}

#[actix_web::test]
async fn a_move_whose_news_was_lost_is_found_by_its_number() {
    let world = World::of_members(2, &[]).await;
    let (_, home) = world.publish_new("live").await;
    let viewer = Opened::of(world.watch("live").await).await;
    let there = &world.nodes[1 - home];
    let moved = Placement {
        stream: stream("live"),
        node: there.node.clone(),
        service: there.run(),
        epoch: 2,
        session: SessionId::from_bytes([3; 16]),
        protocol: Protocol::Rtmp,
        since_ms: 0,
    };
    let before = world.metric("keystone_edge_news_lost_total").await;
    world.truth.redis(&["SET", &keys::placement(&moved.stream), &serde_json::to_string(&moved).unwrap()]);
    world.truth.redis(&["INCR", keys::EVENTS_NUMBER]);
    until("everything is read again", || async { world.metric("keystone_edge_news_lost_total").await > before }).await;
    until("the viewer left behind is gone", || async { status(&world, Method::GET, &viewer.url).await == 404 }).await;
    Opened::of(world.watch("live").await).await;
    assert_eq!(there.held().len(), 1, "and the next one goes to the new home");
}

#[actix_web::test]
async fn with_every_control_api_away_publishers_go_where_all_edges_would_send_them() {
    let mut world = World::of_members(3, &[]).await;
    let (first, home) = world.publish_new("back").await;
    let (_, taken) = world.publish_new("taken").await;
    assert_eq!(status(&world, Method::DELETE, &first.url).await, 200);
    world.truth.add_stream("fresh", Visibility::Public);
    world.truth.forward_hooks();
    world.truth.away(true);
    world.redis.kill();
    let held = |world: &World| world.nodes.iter().map(|node| node.held().len()).collect::<Vec<_>>();
    let before = held(&world);
    let publish = async |name: &str| {
        let token = world.token(name, Role::Publish);
        world.post(&format!("/rtc/v1/whip/{name}"), &token, fixture("pub.sdp")).await
    };
    Opened::of(publish("back").await).await;
    assert_eq!(world.nodes[home].held().len(), before[home] + 1, "to its last known home");
    refused(publish("taken").await, 409, "stream-busy").await;
    assert_eq!(world.metric("keystone_edge_degraded_total{what=\"provisional\"}").await, Some(1));
    // Nobody knows where this one is: viewers wait where its publisher would come.
    Opened::of(world.watch("fresh").await).await;
    assert_eq!(world.metric("keystone_edge_degraded_total{what=\"ring\"}").await, Some(1));
    let waiting = held(&world);
    Opened::of(publish("fresh").await).await;
    let at = (0..3).find(|n| held(&world)[*n] > waiting[*n]).unwrap();
    let viewers = (0..3).find(|n| waiting[*n] > before[*n] + usize::from(*n == home)).unwrap();
    assert_eq!(at, viewers);
    Opened::of(world.watch("taken").await).await;
    assert!(world.nodes[taken].held().len() >= before[taken], "viewers of a live stream follow the replica");
}

#[actix_web::test]
async fn a_control_api_that_is_there_and_cannot_decide_is_obeyed() {
    let world = World::of_members(1, &[]).await;
    world.truth.forward_hooks();
    world.truth.undecided(true);
    refused(world.whip("pub.sdp").await, 503, "dependency-away").await;
    assert!(world.node().posts().is_empty(), "nothing was opened");
}

#[actix_web::test]
async fn a_revoked_play_token_ends_the_viewers_it_let_in() {
    let world = World::of_members(1, &[]).await;
    let (_, _) = world.publish_new("secret").await;
    world.truth.add_stream("secret", Visibility::Private);
    let jti = TokenId::from_bytes([5; 16]);
    let token = world.token_with("secret", Role::Play, |claims| claims.jti = jti);
    let viewer = Opened::of(world.post("/rtc/v1/whep/secret", &token, fixture("play.sdp")).await).await;
    let other = Opened::of(world.watch("secret").await).await;
    assert_eq!(world.node().held().len(), 3);
    world.truth.tell(&Event::TokenRevoked { jti, expires_at: kit::clock::unix() + 600 });
    until("its node dropped it", || async { world.node().held().len() == 2 }).await;
    assert_eq!(status(&world, Method::GET, &viewer.url).await, 404);
    assert_eq!(status(&world, Method::GET, &other.url).await, 204, "another token's viewer stays");
}

#[actix_web::test]
async fn a_revocation_nobody_heard_ends_viewers_once_news_is_back() {
    let world = World::of_members(1, &[]).await;
    world.publish_new("secret").await;
    world.truth.add_stream("secret", Visibility::Private);
    let jti = TokenId::from_bytes([5; 16]);
    let token = world.token_with("secret", Role::Play, |claims| claims.jti = jti);
    Opened::of(world.post("/rtc/v1/whep/secret", &token, fixture("play.sdp")).await).await;
    let expires = (kit::clock::unix() + 600).to_string();
    world.truth.redis(&["ZADD", keys::REVOKED, &expires, &jti.to_string()]);
    world.truth.redis(&["INCR", keys::EVENTS_NUMBER]);
    until("its node dropped it", || async { world.node().held().len() == 1 }).await;
}
