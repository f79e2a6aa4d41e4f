use super::*;
use proptest::prelude::*;
use proto::{StreamId, session::Protocol};

fn at(seconds: u64) -> Mono {
    Mono::from_secs(seconds)
}

fn session(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

fn placement(epoch: u64) -> Arc<Placement> {
    Arc::new(Placement {
        stream: StreamId::parse("cam").unwrap(),
        node: NodeId::parse("n1").unwrap(),
        service: ServiceId::parse("run1").unwrap(),
        epoch,
        session: session(200),
        protocol: Protocol::Webrtc,
        since_ms: 0,
    })
}

fn moved(epoch: u64) -> Arc<Placement> {
    Arc::new(Placement { node: NodeId::parse("n2").unwrap(), ..Placement::clone(&placement(epoch)) })
}

fn jti() -> TokenId {
    TokenId::from_bytes([9; 16])
}

fn handle(n: u8, at: &Placement) -> Handle {
    Handle {
        session: session(n),
        role: Role::Play,
        stream: at.stream.clone(),
        node: at.node.clone(),
        service: at.service.clone(),
        epoch: at.epoch,
        client_ufrag_hash: [0; 8],
        srs_session: "a:b".into(),
        srs_token: "t".into(),
    }
}

/// A session at n1, under epoch 1.
fn opened(n: u8, role: Role) -> Input {
    Input::Opened(NewSession { id: session(n), role, at: placement(1), pass: None })
}

/// A viewer's that a token let in.
fn let_in(n: u8, jti: TokenId) -> Input {
    let pass = Some(Box::new(Pass { jti, handle: Some(handle(n, &placement(1))) }));
    Input::Opened(NewSession { id: session(n), role: Role::Play, at: placement(1), pass })
}

fn lost(out: &[Output]) -> Vec<SessionId> {
    let lost = out.iter().filter_map(|o| if let Output::Lost(ids) = o { Some(ids.clone()) } else { None });
    let mut all: Vec<SessionId> = lost.flatten().collect();
    all.sort();
    all
}

fn answers(out: &[Output]) -> Vec<(AskId, Answer)> {
    out.iter()
        .filter_map(|o| if let Output::Answer(ask, answer) = o { Some((*ask, answer.clone())) } else { None })
        .collect()
}

#[test]
fn a_crowd_costs_one_look_up() {
    let mut core = StreamCore::new(at(0), true);
    assert!(core.handle(at(0), Input::Ask(1)).contains(&Output::Lookup));
    assert!(!core.handle(at(0), Input::Ask(2)).contains(&Output::Lookup));
    let out = core.handle(at(1), Input::Looked(Ok(Some(placement(3)))));
    assert_eq!(answers(&out), [(1, Answer::Live(placement(3))), (2, Answer::Live(placement(3)))]);
    assert!(out.contains(&Output::Show(Some(placement(3)), at(1) + FRESH_WITH_NEWS)));
    assert_eq!(answers(&core.handle(at(2), Input::Ask(3))), [(3, Answer::Live(placement(3)))]);
}

#[test]
fn absence_is_believed_for_a_second_and_news_ends_it_at_once() {
    let mut core = StreamCore::new(at(0), true);
    core.handle(at(0), Input::Ask(1));
    assert_eq!(answers(&core.handle(at(0), Input::Looked(Ok(None)))), [(1, Answer::Absent)]);
    assert_eq!(answers(&core.handle(at(0), Input::Ask(2))), [(2, Answer::Absent)]);
    assert!(core.handle(at(1), Input::Ask(3)).contains(&Output::Lookup));
    assert_eq!(answers(&core.handle(at(1), Input::Live(placement(1)))), [(3, Answer::Live(placement(1)))]);
    let out = core.handle(at(1), Input::Looked(Ok(None)));
    assert!(!out.iter().any(|o| matches!(o, Output::Show(None, _))), "the look-up is older than the news: {out:?}");
}

#[test]
fn lost_news_makes_a_placement_stale_within_a_second() {
    let mut core = StreamCore::new(at(0), true);
    core.handle(at(0), Input::Live(placement(1)));
    core.handle(at(5), Input::News { healthy: false });
    assert!(core.handle(at(5), Input::Ask(1)).contains(&Output::Lookup));
    let out = core.handle(at(6), Input::Looked(Err(())));
    assert_eq!(answers(&out), [(1, Answer::Live(placement(1)))], "with nobody to ask, the last known place serves");
}

#[test]
fn an_older_epoch_neither_moves_nor_ends_a_stream() {
    let mut core = StreamCore::new(at(0), true);
    core.handle(at(0), Input::Live(placement(5)));
    core.handle(at(0), Input::Live(placement(4)));
    core.handle(at(0), Input::Ended { epoch: 4, viewers_too: false });
    assert_eq!(answers(&core.handle(at(0), Input::Ask(1))), [(1, Answer::Live(placement(5)))]);
    core.handle(at(0), Input::Ended { epoch: 5, viewers_too: false });
    assert_eq!(answers(&core.handle(at(0), Input::Ask(2))), [(2, Answer::Absent)]);
}

#[test]
fn one_local_publisher_tries_at_a_time() {
    let mut core = StreamCore::new(at(0), true);
    assert_eq!(answers(&core.handle(at(0), Input::Attempt(1, session(1)))), [(1, Answer::Go)]);
    assert_eq!(answers(&core.handle(at(0), Input::Attempt(2, session(2)))), [(2, Answer::Busy)]);
    core.handle(at(1), Input::AttemptOver(session(2)));
    assert_eq!(answers(&core.handle(at(1), Input::Attempt(3, session(2)))), [(3, Answer::Busy)], "not its attempt");
    core.handle(at(1), Input::AttemptOver(session(1)));
    assert_eq!(answers(&core.handle(at(1), Input::Attempt(4, session(2)))), [(4, Answer::Go)]);
    assert_eq!(
        answers(&core.handle(at(1) + ATTEMPT, Input::Attempt(5, session(3)))),
        [(5, Answer::Go)],
        "a lost attempt ends"
    );
}

#[test]
fn a_restarted_node_takes_its_sessions_along() {
    let mut core = StreamCore::new(at(0), true);
    core.handle(at(0), Input::Live(placement(1)));
    core.handle(at(0), opened(1, Role::Play));
    let node = NodeId::parse("n1").unwrap();
    core.handle(at(1), Input::Node { node: node.clone(), service: Some(ServiceId::parse("run1").unwrap()) });
    assert_eq!(core.sessions(), 1);
    let out = core.handle(at(1), Input::Node { node, service: Some(ServiceId::parse("run2").unwrap()) });
    assert!(out.contains(&Output::Sessions(0)));
    assert!(core.handle(at(1), Input::Ask(1)).contains(&Output::Lookup));
}

#[test]
fn a_lost_node_takes_what_ran_there_and_only_that() {
    let mut core = StreamCore::new(at(0), true);
    core.handle(at(0), Input::Live(placement(1)));
    core.handle(at(0), opened(1, Role::Play));
    core.handle(at(0), Input::Opened(NewSession { id: session(2), role: Role::Play, at: moved(1), pass: None }));
    let out = core.handle(at(1), Input::Node { node: NodeId::parse("n1").unwrap(), service: None });
    assert_eq!(lost(&out), [session(1)]);
    assert_eq!(core.sessions(), 1, "the one at the other node runs on");
    assert!(core.handle(at(1), Input::Ask(1)).contains(&Output::Lookup), "and where the stream is now must be asked");
}

#[test]
fn a_move_ends_what_is_left_behind_also_what_was_opened_there_just_now() {
    let mut core = StreamCore::new(at(0), true);
    core.handle(at(0), Input::Live(placement(1)));
    core.handle(at(0), opened(1, Role::Play));
    assert_eq!(lost(&core.handle(at(1), Input::Live(placement(2)))), [], "a new publisher on the same node");
    assert_eq!(lost(&core.handle(at(2), Input::Live(moved(3)))), [session(1)]);
    assert_eq!(lost(&core.handle(at(2), opened(2, Role::Play))), [session(2)], "it was under way");
    assert_eq!(core.sessions(), 0);
}

#[test]
fn viewers_outlive_a_publisher_who_leaves_and_not_a_stream_that_is_lost() {
    let mut core = StreamCore::new(at(0), true);
    core.handle(at(0), Input::Live(placement(1)));
    core.handle(at(0), opened(1, Role::Play));
    assert_eq!(lost(&core.handle(at(1), Input::Ended { epoch: 1, viewers_too: false })), []);
    assert_eq!(lost(&core.handle(at(1), Input::Ended { epoch: 0, viewers_too: true })), [], "old news");
    assert_eq!(lost(&core.handle(at(1), Input::Ended { epoch: 1, viewers_too: true })), [session(1)]);
}

#[test]
fn a_revoked_token_expels_whom_it_let_in() {
    let mut core = StreamCore::new(at(0), true);
    core.handle(at(0), opened(1, Role::Play));
    core.handle(at(0), let_in(2, jti()));
    core.handle(at(0), let_in(3, TokenId::from_bytes([8; 16])));
    assert_eq!(core.passes().len(), 2);
    let out = core.handle(at(1), Input::Revoked(jti()));
    assert!(out.contains(&Output::Expel(vec![(session(2), Some(handle(2, &placement(1))))])), "{out:?}");
    assert_eq!(core.sessions(), 2);
    assert!(!core.handle(at(1), Input::Revoked(jti())).iter().any(|o| matches!(o, Output::Expel(_))), "once");
}

#[test]
fn news_that_is_back_makes_everything_be_asked_again() {
    let mut core = StreamCore::new(at(0), true);
    core.handle(at(0), Input::Live(placement(1)));
    core.handle(at(0), opened(1, Role::Play));
    core.handle(at(1), Input::News { healthy: false });
    let out = core.handle(at(2), Input::News { healthy: true });
    assert!(out.contains(&Output::Confirm(vec![session(1)])), "its end may have been told: {out:?}");
    assert!(core.handle(at(2), Input::Ask(1)).contains(&Output::Lookup), "and so may the stream's move");
    let mut core = StreamCore::new(at(0), true);
    core.handle(at(0), Input::Live(placement(1)));
    core.handle(at(0), Input::Doubt(NodeId::parse("n1").unwrap()));
    assert!(core.handle(at(0), Input::Ask(1)).contains(&Output::Lookup), "a node that fails here is a reason to ask");
}

#[test]
fn unconfirmed_sessions_are_asked_about_and_the_gone_ones_dropped() {
    let mut core = StreamCore::new(at(0), true);
    core.handle(at(0), opened(1, Role::Play));
    core.handle(at(0), opened(2, Role::Play));
    let out = core.handle(CONFIRM_EVERY, Input::Timeout);
    let asked = out.iter().find_map(|o| if let Output::Confirm(ids) = o { Some(ids.len()) } else { None });
    assert_eq!(asked, Some(2), "{out:?}");
    core.handle(CONFIRM_EVERY, Input::Confirmed { alive: vec![session(1)], gone: vec![session(2)] });
    assert_eq!(core.sessions(), 1);
    let confirmed =
        |core: &mut StreamCore, now, n| answers(&core.handle(now, Input::AskSession(9, session(n))))[0].1.clone();
    assert_eq!(confirmed(&mut core, CONFIRM_EVERY, 1), Answer::Session { confirmed: true });
    assert_eq!(confirmed(&mut core, CONFIRM_EVERY, 2), Answer::Session { confirmed: false });
    assert_eq!(confirmed(&mut core, CONFIRM_EVERY * 2, 1), Answer::Session { confirmed: false }, "too long ago");
}

#[test]
fn it_ends_when_nobody_cares_and_not_before() {
    let mut core = StreamCore::new(at(0), true);
    core.handle(at(0), opened(1, Role::Publish));
    assert!(!core.handle(at(40), Input::Timeout).contains(&Output::End));
    assert!(core.handle(at(40), Input::Closed(session(1))).contains(&Output::End));
    let mut core = StreamCore::new(at(0), true);
    assert_eq!(core.handle(at(0), Input::Timeout), [Output::Wait(IDLE)]);
    assert_eq!(core.handle(IDLE, Input::Timeout), [Output::End]);
}

#[test]
fn a_session_takes_little_memory() {
    assert!(std::mem::size_of::<(SessionId, Held)>() <= 40);
}

fn any_input() -> impl Strategy<Value = Input> {
    let id = (0_u8..4).prop_map(session);
    prop_oneof![
        Just(Input::Timeout),
        (0_u64..4).prop_map(|e| Input::Live(placement(e))),
        (0_u64..4, any::<bool>()).prop_map(|(epoch, viewers_too)| Input::Ended { epoch, viewers_too }),
        Just(Input::Looked(Ok(None))),
        Just(Input::Looked(Err(()))),
        (0_u64..4).prop_map(|e| Input::Looked(Ok(Some(placement(e))))),
        any::<bool>().prop_map(|healthy| Input::News { healthy }),
        Just(Input::Ask(0)),
        id.clone().prop_map(|s| Input::Attempt(0, s)),
        id.clone().prop_map(Input::AttemptOver),
        (0_u8..4).prop_map(|n| opened(n, Role::Play)),
        Just(Input::Doubt(NodeId::parse("n1").unwrap())),
        Just(Input::Revoked(jti())),
        id.prop_map(Input::Closed),
    ]
}

proptest! {
    /// Every question gets exactly one answer, epochs never fall while live, and a quiet stream ends.
    #[test]
    fn questions_are_answered_and_epochs_never_fall(steps in proptest::collection::vec((0_u64..3, any_input()), 0..80)) {
        let mut core = StreamCore::new(at(0), true);
        let (mut now, mut next, mut open, mut epoch) = (at(0), 0, std::collections::BTreeSet::new(), 0);
        for (wait, input) in steps {
            now += at(wait);
            next += 1;
            let input = if input == Input::Ask(0) {
                open.insert(next);
                Input::Ask(next)
            } else if let Input::Attempt(_, session) = input {
                open.insert(next);
                Input::Attempt(next, session)
            } else {
                input
            };
            for output in core.handle(now, input) {
                match output {
                    Output::Answer(ask, _) => prop_assert!(open.remove(&ask), "answered twice: {}", ask),
                    Output::Show(Some(place), _) => { prop_assert!(place.epoch >= epoch); epoch = place.epoch; }
                    Output::Show(None, _) => epoch = 0,
                    Output::Wait(until) => prop_assert!(until > now, "would spin at {:?}", now),
                    Output::Lookup
                    | Output::Confirm(_)
                    | Output::Lost(_)
                    | Output::Expel(_)
                    | Output::Sessions(_)
                    | Output::End => {}
                }
            }
        }
        core.handle(now, Input::Looked(Err(()))).iter().for_each(|o| if let Output::Answer(ask, _) = o { open.remove(ask); });
        prop_assert!(open.is_empty(), "never answered: {:?}", open);
    }
}
