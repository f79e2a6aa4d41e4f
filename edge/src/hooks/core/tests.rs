use super::*;
use proptest::prelude::*;
use proto::{ClientId, EdgeId, NodeId, ServiceId, secret::ClusterSecret, session::Protocol};
use serde_json::json;

const NOW_MS: u64 = 1_000_000;

struct Case {
    keys: Keyring,
    bound: Bound,
    placement: Option<Placement>,
    vouched: bool,
    now_ms: u64,
}

impl Case {
    fn new() -> Self {
        let keys = Keyring { current: ClusterSecret::from_setting("a"), previous: None };
        Self { keys, bound: Bound::default(), placement: None, vouched: false, now_ms: NOW_MS }
    }

    fn decide(&self, hook: &Hook) -> Own {
        let facts = Facts {
            keyring: Some(&self.keys),
            placement: self.placement.as_ref(),
            bound: &self.bound,
            vouched: self.vouched,
            now_ms: self.now_ms,
        };
        decide(hook, &facts, |session| *session == SessionId::from_bytes([66; 16]))
    }

    /// A ticket for node `n1`, run `run1`, stream `cam`, good for another second.
    fn ticket(&self, role: Role, session: u8) -> String {
        let ticket = Ticket {
            session: SessionId::from_bytes([session; 16]),
            role,
            protocol: Protocol::Webrtc,
            expires_at: NOW_MS / 1000 + 1,
            epoch: 4,
            client: None,
            ufrag_hash: ticket::ufrag_hash("uf"),
            edge: EdgeId::parse("e1").unwrap(),
        };
        let (node, service, stream) = scope();
        ticket.seal(&self.keys.current, Scope { node: &node, service: &service, stream: &stream })
    }

    /// Decides and takes in what follows, as the shell does.
    fn step(&mut self, hook: &Hook) -> Own {
        let own = self.decide(hook);
        match own.clone() {
            Own::Opens(client, held) => {
                if held.role == Role::Publish {
                    self.placement = Some(held.placement(&client));
                }
                self.bound.bind(client, held);
            }
            Own::Ends(client, over) => {
                self.bound.release(&client);
                if over.is_some() {
                    self.placement = None;
                }
            }
            Own::Yes | Own::No(_) => {}
        }
        own
    }
}

fn scope() -> (NodeId, ServiceId, StreamId) {
    (NodeId::parse("n1").unwrap(), ServiceId::parse("run1").unwrap(), StreamId::parse("cam").unwrap())
}

fn hook_at(node: &str, action: &str, client: &str, param: &str) -> Hook {
    let body = json!({"action": action, "client_id": client, "server_id": node, "service_id": "run1", "app": "live",
        "stream": "cam", "stream_url": "/live/cam", "param": param, "vhost": "__defaultVhost__"});
    serde_json::from_value(body).unwrap()
}

fn hook(action: &str, client: &str, ticket: &str) -> Hook {
    hook_at("n1", action, client, &format!("app=live&stream=cam&kst={ticket}&ice-ufrag=uf"))
}

fn bare(action: &str, client: &str) -> Hook {
    hook_at("n1", action, client, "?token=whatever")
}

fn at(node: &str, epoch: u64, session: u8) -> Placement {
    let (_, service, stream) = scope();
    Placement {
        stream,
        node: NodeId::parse(node).unwrap(),
        service,
        epoch,
        session: SessionId::from_bytes([session; 16]),
        protocol: Protocol::Webrtc,
        since_ms: 0,
    }
}

#[test]
fn a_publisher_comes_and_goes() {
    let mut case = Case::new();
    let ticket = case.ticket(Role::Publish, 1);
    assert!(matches!(case.step(&hook("on_publish", "a", &ticket)), Own::Opens(_, held) if held.epoch == 4));
    case.now_ms += 60_000;
    assert!(matches!(case.step(&hook("on_publish", "a", &ticket)), Own::Opens(..)), "its own client may come late");
    assert_eq!(case.decide(&hook("on_publish", "b", &ticket)), Own::No(No::Replayed));
    assert_eq!(case.decide(&hook("on_unpublish", "b", &ticket)), Own::Yes, "the refused one's end is nobody's");
    let ended = case.step(&hook("on_unpublish", "a", &ticket));
    assert!(matches!(ended, Own::Ends(_, Some(at)) if at.epoch == 4));
    assert!(case.placement.is_none());
    assert_eq!(case.decide(&hook("on_publish", "b", &ticket)), Own::No(No::Replayed), "also after its end");
}

#[test]
fn on_close_names_no_stream_and_ends_what_its_client_held() {
    let mut case = Case::new();
    let ticket = case.ticket(Role::Publish, 1);
    case.step(&hook("on_publish", "a", &ticket));
    assert!(matches!(case.decide(&bare("on_close", "other")), Own::Yes));
    assert!(matches!(case.decide(&bare("on_close", "a")), Own::Ends(_, Some(_))));
}

#[test]
fn only_tickets_for_this_very_place_and_time_open_anything() {
    let mut case = Case::new();
    let (publish, play) = (case.ticket(Role::Publish, 1), case.ticket(Role::Play, 2));
    assert_eq!(case.decide(&bare("on_publish", "a")), Own::No(No::NoTicket));
    assert_eq!(case.decide(&bare("on_play", "a")), Own::No(No::NoTicket));
    assert_eq!(case.decide(&hook("on_publish", "a", &play)), Own::No(No::Misfit));
    assert_eq!(case.decide(&hook("on_play", "a", &publish)), Own::No(No::Misfit));
    assert_eq!(case.decide(&hook("on_publish", "a", "AAAA")), Own::No(No::Ticket));
    assert_eq!(
        case.decide(&hook_at("n2", "on_publish", "a", &format!("kst={publish}&ice-ufrag=uf"))),
        Own::No(No::Ticket)
    );
    assert_eq!(
        case.decide(&hook_at("n1", "on_publish", "a", &format!("kst={publish}&ice-ufrag=other"))),
        Own::No(No::Misfit)
    );
    assert_eq!(case.decide(&hook_at("n.1", "on_publish", "a", "")), Own::No(No::Malformed));
    let ended = case.ticket(Role::Play, 66);
    assert_eq!(case.decide(&hook("on_play", "a", &ended)), Own::No(No::Replayed), "a session that was ended");
    case.now_ms += 1_000;
    assert_eq!(case.decide(&hook("on_play", "a", &play)), Own::No(No::Expired));
    let other = Keyring { current: ClusterSecret::from_setting("b"), previous: None };
    case.keys = other;
    assert_eq!(case.decide(&hook("on_publish", "a", &publish)), Own::No(No::Ticket));
}

#[test]
fn without_secrets_nobody_is_let_in() {
    let case = Case::new();
    let facts = Facts { keyring: None, placement: None, bound: &case.bound, vouched: true, now_ms: NOW_MS };
    let hook = hook("on_publish", "a", &case.ticket(Role::Publish, 1));
    assert_eq!(decide(&hook, &facts, |_| false), Own::No(No::NoSecret));
}

#[test]
fn a_newer_publisher_stands_and_viewers_stay_at_its_home() {
    let mut case = Case::new();
    let (publish, play) = (case.ticket(Role::Publish, 1), case.ticket(Role::Play, 2));
    let of = |case: &mut Case, placement, hook: &Hook| {
        case.placement = Some(placement);
        case.decide(hook)
    };
    assert_eq!(of(&mut case, at("n2", 5, 9), &hook("on_publish", "a", &publish)), Own::No(No::Busy));
    assert_eq!(of(&mut case, at("n1", 4, 9), &hook("on_publish", "a", &publish)), Own::No(No::Busy));
    assert!(matches!(of(&mut case, at("n2", 3, 9), &hook("on_publish", "a", &publish)), Own::Opens(..)), "a takeover");
    assert!(matches!(of(&mut case, at("n1", 4, 1), &hook("on_publish", "a", &publish)), Own::Opens(..)), "itself");
    assert_eq!(of(&mut case, at("n2", 9, 9), &hook("on_play", "v", &play)), Own::No(No::NotHome));
    assert!(matches!(of(&mut case, at("n1", 9, 9), &hook("on_play", "v", &play)), Own::Opens(..)));
}

#[test]
fn an_end_needs_somebody_who_vouches_for_it() {
    let mut case = Case::new();
    case.placement = Some(at("n1", 4, 1));
    assert_eq!(case.decide(&bare("on_unpublish", "a")), Own::Yes);
    let by_ticket = hook("on_unpublish", "a", &case.ticket(Role::Publish, 1));
    assert!(matches!(case.decide(&by_ticket), Own::Ends(_, Some(_))), "an edge that has just started");
    let refused = hook("on_unpublish", "b", &case.ticket(Role::Publish, 7));
    assert!(matches!(case.decide(&refused), Own::Ends(_, None)), "never held the stream");
    case.vouched = true;
    assert!(matches!(case.decide(&bare("on_unpublish", "a")), Own::Ends(_, None)), "journaled, and nothing told here");
    for action in ["on_connect", "on_hls", "on_dvr", "on_forward"] {
        assert_eq!(case.decide(&bare(action, "a")), Own::Yes, "{action}");
    }
}

#[test]
fn a_viewers_end_is_not_the_publishers() {
    let mut case = Case::new();
    case.placement = Some(at("n1", 4, 1));
    let play = case.ticket(Role::Play, 2);
    assert!(matches!(case.step(&hook("on_play", "v", &play)), Own::Opens(..)));
    assert!(matches!(case.step(&hook("on_stop", "v", &play)), Own::Ends(_, None)));
    let id = ClientId::parse("v").unwrap();
    assert!(case.bound.client(&SessionId::from_bytes([2; 16])).is_some_and(|known| known.id == id));
}

proptest! {
    /// Whatever comes in whatever order, one session never has two clients, and a stream has one publisher.
    #[test]
    fn one_client_a_session(steps in proptest::collection::vec((0_usize..5, 0_u8..3, 1_u8..4), 0..60)) {
        let mut case = Case::new();
        let actions = ["on_publish", "on_play", "on_unpublish", "on_stop", "on_close"];
        let mut first: std::collections::HashMap<SessionId, ClientId> = std::collections::HashMap::new();
        for (action, who, session) in steps {
            let role = if session == 3 { Role::Play } else { Role::Publish };
            let ticket = case.ticket(role, session);
            if let Own::Opens(client, held) = case.step(&hook(actions[action], &format!("c{who}"), &ticket)) {
                let known = first.entry(held.session).or_insert_with(|| client.id.clone());
                prop_assert_eq!(&*known, &client.id);
            }
            let live: Vec<_> = case.bound.publishers().collect();
            prop_assert!(live.len() <= 1, "{live:?}");
        }
    }

    #[test]
    fn no_param_lets_anybody_in_by_itself(param: String) {
        let case = Case::new();
        prop_assert!(matches!(case.decide(&hook_at("n1", "on_publish", "a", &param)), Own::No(_)));
    }
}
