//! `GET /v1/streams/{stream}/route`.

use super::{
    claims_placing::{LATER, member},
    media::{Node, Scene},
};
use proto::{
    api::{Route, RouteVerdict},
    node::{Member, Membership, NodeLimits, NodeState},
};
use serde_json::json;

#[actix_web::test]
async fn a_stream_is_where_it_is_and_would_be_where_it_would_be() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    let two = Node::second(control).await;
    let held = control.state.health.hold().await;
    let path = scene.path("/route");
    let plain = control.get(&path, Some(&scene.owner)).await.is(200).body;
    assert_eq!(plain, json!({ "stream": scene.stream, "placement": null }), "without explain nothing else");
    let learn = |at: u64, members| assert!(control.state.fleet.learn(Membership { version: LATER + at, members }));
    let (one, up) = (&scene.node, NodeState::Up);
    let limits = NodeLimits { bandwidth_kbps: Some(1_000_000), ..NodeLimits::default() };
    learn(
        1,
        vec![Member { weight: 3, zone: Some("east".into()), limits, ..member(one, up) }, member(&two, NodeState::Down)],
    );
    let dry = || async { control.get(&format!("{path}?explain=1"), Some(&scene.owner)).await.is(200).read::<Route>() };
    let route = dry().await;
    assert_eq!((route.placement, route.choice), (None, Some(one.id())));
    assert_eq!((route.membership, route.bound_percent), (Some(LATER + 1), Some(125)));
    assert!(route.why.unwrap().starts_with("would go to n1, "));
    let of = |node: &Node, route: &[proto::api::RouteNode]| route.iter().find(|n| n.node == node.id()).unwrap().clone();
    let (first, second) = (of(one, &route.nodes), of(&two, &route.nodes));
    assert_eq!(
        (first.verdict, first.bound, first.weight, first.zone.as_deref()),
        (RouteVerdict::Chosen, Some(2), 3, Some("east"))
    );
    assert_eq!((first.limits, first.heard_ms_ago.is_some()), (limits, true));
    assert_eq!(
        (second.verdict, second.why.as_deref(), second.bound),
        (RouteVerdict::PassedOver, Some("is down"), None)
    );
    learn(2, vec![member(one, up), member(&two, up)]);
    let admitted = scene.live("c1").await;
    let live = dry().await;
    let at = live.placement.unwrap();
    assert_eq!((&at.node, at.epoch, at.session), (&one.id(), admitted.epoch, admitted.session));
    assert!(at.age_ms < 60_000);
    assert!(of(one, &live.nodes).home && !of(&two, &live.nodes).home);
    assert_eq!(of(one, &live.nodes).streams, 0, "the stream itself is not counted");
    assert_eq!(of(one, &live.nodes).bound, Some(1));
    learn(3, vec![Member { draining: true, ..member(one, up) }, member(&two, up)]);
    let draining = dry().await;
    assert_eq!((draining.placement.unwrap().node, draining.choice), (one.id(), Some(two.id())));
    assert_eq!(of(one, &draining.nodes).why.as_deref(), Some("is draining"));
    assert!(draining.why.unwrap().starts_with("is on n1 and stays there"));
    drop(held);
    scene.stop().await;
}

#[actix_web::test]
async fn what_is_explained_is_what_a_reservation_gets() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    let two = Node::second(control).await;
    let held = control.state.health.hold().await;
    let members = vec![member(&scene.node, NodeState::Up), member(&two, NodeState::Up)];
    assert!(control.state.fleet.learn(Membership { version: LATER, members }));
    for _ in 0..6 {
        let made = control.stream(&scene.owner, "public").await;
        let path = format!("/v1/streams/{}/route?explain=1", made.stream.id);
        let route: Route = control.get(&path, Some(&scene.owner)).await.is(200).read();
        let choice = route.choice.unwrap();
        let order: Vec<&Node> = route
            .nodes
            .iter()
            .filter(|node| node.verdict != RouteVerdict::PassedOver)
            .map(|node| if node.node == two.id() { &two } else { &scene.node })
            .collect();
        let key = super::edge::key_of(&made);
        let mut body = scene.edge.reservation(&made.stream.id, super::edge::new_session(), order[0], &key, false);
        body["nodes"] = order.iter().map(|node| json!({ "node": node.name, "service": node.service() })).collect();
        let got = scene.edge.post(control, "/internal/v1/claims", &body).await.is(200).body;
        assert_eq!(got["node"], json!(choice));
    }
    drop(held);
    scene.stop().await;
}

#[actix_web::test]
async fn owners_see_their_own_and_nothing_is_said_of_what_never_was() {
    let scene = Scene::start("private").await;
    let control = scene.control();
    let (admin, other) = (control.admin("admin").await, control.user("other").await);
    let path = scene.path("/route?explain=1");
    control.get(&path, Some(&admin)).await.is(200);
    control.get(&path, Some(&other)).await.is_problem(404, "stream-not-found");
    control.get(&path, None).await.is_problem(401, "unauthenticated");
    control.get("/v1/streams/neverwas/route?explain=1", Some(&admin)).await.is_problem(404, "stream-not-found");
    control.get("/v1/streams/a.b/route?explain=1", Some(&admin)).await.is_problem(404, "stream-not-found");
    let line =
        "keystone_control_http_requests_total{method=\"GET\",route=\"/v1/streams/{stream}/route\",status=\"404\"}";
    assert_eq!(control.metric(line).await, 3.0);
    for bad in ["?explain=2", "?explain=yes", "?explain=1&why=1", "?explain=-1"] {
        assert_eq!(control.get(&scene.path(&format!("/route{bad}")), Some(&admin)).await.status, 400, "{bad}");
    }
    scene.stop().await;
}
