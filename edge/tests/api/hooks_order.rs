//! The journal of hooks: its order, what comes behind it, how it is handed in.

use super::helpers::{
    World,
    control::{Does, FakeControl, ticket, world},
    until,
};
use proto::session::Role;

const YES: Does = Does::Says(200, r#"{"code":0}"#);

fn publish(session: u8) -> String {
    format!("?kst={}", ticket(Role::Publish, session, 1, 30))
}

fn play(session: u8) -> String {
    format!("?kst={}", ticket(Role::Play, session, 1, 30))
}

async fn entries(world: &World) -> u64 {
    world.metric("keystone_edge_hook_journal_entries").await.unwrap()
}

#[actix_web::test]
async fn what_a_client_tells_next_goes_behind_what_the_journal_has_of_it() {
    let control = FakeControl::away().await;
    let world = world(&[&control], &[]).await;
    assert_eq!(world.code("on_publish", "c1", &publish(1)).await, 0);
    // It answers hooks and cannot write the journal down yet: Postgres is away.
    control.does(YES, Does::Says(503, "{}"));
    let before = control.seen().len();
    assert_eq!(world.code("on_unpublish", "c1", &publish(1)).await, 0);
    assert_eq!(world.code("on_close", "c1", "").await, 0);
    assert_eq!(control.seen().len(), before, "told now, its end would come before its beginning");
    assert_eq!(world.code("on_publish", "c2", &publish(2)).await, 0);
    assert_eq!(control.seen().len(), before + 1, "others are control-api's");
    assert_eq!(entries(&world).await, 3);
    control.comes_back();
    until("the journal is handed in", || async { control.journal().len() == 3 }).await;
    let actions: Vec<String> = control.journal().into_iter().map(|(action, _)| action).collect();
    assert_eq!(actions, ["on_publish", "on_unpublish", "on_close"]);
    until("the journal is empty", || async { entries(&world).await == 0 }).await;
    assert_eq!(world.code("on_close", "c1", "").await, 0);
    assert_eq!(control.seen().len(), before + 2, "and then so is this one");
}

#[actix_web::test]
async fn a_long_journal_goes_in_batches_and_in_order() {
    let control = FakeControl::away().await;
    let world = world(&[&control], &[]).await;
    let all: Vec<String> = (0..600).map(|n| format!("v{n}")).collect();
    for (number, client) in all.iter().enumerate() {
        let mut session = [0; 16];
        session[..8].copy_from_slice(&number.to_be_bytes());
        let ticket = super::helpers::control::ticket_of(Role::Play, session, 1, 30);
        assert_eq!(world.code("on_play", client, &format!("?kst={ticket}")).await, 0);
    }
    assert_eq!(entries(&world).await, 600);
    control.comes_back();
    until("the journal is handed in", || async { control.journal().len() >= 600 }).await;
    let clients: Vec<String> = control.journal().into_iter().map(|(_, client)| client).collect();
    assert_eq!(clients, all);
    assert_eq!(control.batches(), [256, 256, 88]);
}

#[actix_web::test]
async fn an_entry_that_is_refused_does_not_hold_up_the_others() {
    let control = FakeControl::away().await;
    let world = world(&[&control], &[]).await;
    assert_eq!(world.code("on_publish", "c1", &publish(1)).await, 0);
    assert_eq!(world.code("on_play", "v1", &play(2)).await, 0);
    control.does(YES, Does::Says(422, "{}"));
    until("both are dropped and counted", || async {
        world.metric("keystone_edge_hook_journal_dropped_total").await == Some(2)
    })
    .await;
    assert_eq!(entries(&world).await, 0);
}

#[actix_web::test]
async fn what_a_control_api_took_is_remembered_for_when_it_is_gone() {
    let control = FakeControl::good().await;
    let world = world(&[&control], &[]).await;
    assert_eq!(world.code("on_publish", "c1", &publish(1)).await, 0);
    assert_eq!(world.code("on_publish", "direct", "?key=sk_cam_x_y").await, 0);
    control.goes_away();
    assert_ne!(world.code("on_publish", "c2", &publish(1)).await, 0, "that ticket is c1's");
    assert_eq!(world.code("on_unpublish", "direct", "").await, 0);
    assert_eq!(entries(&world).await, 1, "its node has shown a secret that control-api took");
    let forged = super::helpers::control::body("on_unpublish", "other", "");
    assert_eq!(world.post_hook("/v1/hooks/srs/n0/anothersecret", &forged).await.0, 200);
    assert_eq!(entries(&world).await, 1, "and nobody vouches for this one");
}

#[actix_web::test]
async fn an_edge_that_ends_hands_in_what_it_has() {
    let control = FakeControl::away().await;
    let world = world(&[&control], &[]).await;
    assert_eq!(world.code("on_publish", "c1", &publish(1)).await, 0);
    control.comes_back();
    world.stop(0);
    until("the journal is handed in", || async { !control.journal().is_empty() }).await;
    // The last try may meet one that is under way: handing in twice changes nothing at control-api.
    assert!(control.journal().iter().all(|entry| *entry == ("on_publish".to_owned(), "c1".to_owned())));
}
