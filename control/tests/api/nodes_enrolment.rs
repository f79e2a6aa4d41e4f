//! Who is enrolled: `NODES_BOOTSTRAP`, the table, and what every control node knows of it.

use super::{
    helpers::{Control, Test, send, settings, until},
    media::Node,
};
use control::{app::App, jobs::enrolments};
use proto::NodeId;
use reqwest::Method;
use time::OffsetDateTime;

const ONE_OTHER: (&str, &str) = ("NODES_BOOTSTRAP", "n1:another-secret");

fn n(id: &str) -> NodeId {
    NodeId::parse(id).unwrap()
}

/// Status of a heartbeat of `n1` with a secret.
async fn beat(control: &Control, secret: &str) -> u16 {
    let body = Node::quiet("n1", "").beat_body(0);
    let path = format!("/v1/hooks/heartbeat/n1/{secret}");
    send(control.request(Method::POST, &path).json(&body)).await.status.as_u16()
}

#[actix_web::test]
async fn the_bootstrap_list_is_enrolled_once_and_another_secret_rotates() {
    let test = Test::start().await;
    let control = &test.control;
    let one = control.state.nodes.enrolment(&n("n1")).unwrap();
    assert!((one.weight, &one.at, &one.cordoned_at) == (1, &None, &None) && one.secrets.previous.is_none());
    let rows = "UPDATE nodes SET weight = 7, zone = 'z', cordoned_at = now() WHERE id = 'n1'";
    test.database.run(rows).await;
    let again = test.another(&[]).await;
    let kept = again.state.nodes.enrolment(&n("n1")).unwrap();
    assert_eq!((kept.weight, kept.zone.as_deref(), &kept.secrets), (7, Some("z"), &one.secrets));
    assert!(kept.cordoned_at.is_some());
    again.stop().await;
    assert_eq!(beat(control, "another-secret").await, 403);
    let other = test.another(&[ONE_OTHER]).await;
    let rotated = other.state.nodes.enrolment(&n("n1")).unwrap();
    assert_eq!((rotated.weight, rotated.cordoned_at.is_some()), (7, true));
    let (hash, until_) = rotated.secrets.previous.clone().unwrap();
    assert_eq!(hash, one.secrets.current);
    assert!(until_ > OffsetDateTime::now_utc() + time::Duration::hours(23));
    assert!(other.state.nodes.enrolment(&n("n2")).is_some(), "a node that is not in the list stays");
    // The first control-api was told.
    until("the new secret is known here", async || (beat(control, "another-secret").await == 200).then_some(())).await;
    for at in [control, &other] {
        assert_eq!((beat(at, "node-one-secret").await, beat(at, "another-secret").await), (200, 200));
        assert_eq!(beat(at, &hash).await, 403, "the hash is not the secret");
    }
    test.database.run("UPDATE nodes SET secret_previous_until = now() WHERE id = 'n1'").await;
    enrolments::load(&control.state).await.unwrap();
    assert_eq!((beat(control, "node-one-secret").await, beat(control, "another-secret").await), (403, 200));
    other.stop().await;
    test.stop().await;
}

#[actix_web::test]
async fn without_postgres_the_bootstrap_list_itself_counts_and_what_was_read_goes_on() {
    let test = Test::start().await;
    // Nothing listens there.
    let nowhere = "postgres://nobody@127.0.0.1:9/none";
    let blind = Control::start(nowhere, &test.redis.url(), &[ONE_OTHER]).await;
    assert_eq!((beat(&blind, "another-secret").await, beat(&blind, "node-one-secret").await), (200, 403));
    assert!(blind.state.nodes.enrolment(&n("n2")).is_none());
    assert!(enrolments::load(&blind.state).await.is_err());
    assert!(blind.state.nodes.enrolment(&n("n1")).is_some(), "a failed reading takes nothing away");
    blind.stop().await;
    test.stop().await;
}

#[actix_web::test]
async fn a_node_that_is_no_longer_enrolled_is_a_stranger_soon() {
    let test = Test::start().await;
    let control = &test.control;
    assert_eq!(beat(control, "node-one-secret").await, 200);
    assert!(control.state.nodes.info(&n("n1")).is_some());
    test.database.run("DELETE FROM nodes WHERE id = 'n1'").await;
    enrolments::tell(&control.state).await;
    until("it is forgotten", async || (beat(control, "node-one-secret").await == 403).then_some(())).await;
    assert!(control.state.nodes.info(&n("n1")).is_none(), "what it said is forgotten too");
    assert_eq!(control.state.nodes.all().len(), 1);
    // Another start with the same list enrols it again, as the operator says.
    let app = App::build(settings(&test.database.url, &test.redis.url(), &[])).await.unwrap();
    assert!(app.state().nodes.enrolment(&n("n1")).is_some());
    test.stop().await;
}
