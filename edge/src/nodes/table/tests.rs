use super::*;
use proto::{
    node::{Member as Told, NodeAddresses, NodeLimits, NodeState},
    srs::api::{Head, Version},
};

fn says(server: &str, service: &str) -> Versions {
    let head = Head { code: 0, server: server.into(), service: service.into(), pid: String::new() };
    Versions { head, data: Version::default() }
}

fn upstream(port: u16, id: Option<&str>) -> Upstream {
    Upstream {
        api: format!("http://127.0.0.1:{port}").parse().unwrap(),
        id: id.map(node),
        weight: 1,
        zone: None,
        srt_encrypted: false,
        endpoints: BTreeMap::new(),
    }
}

fn node(id: &str) -> NodeId {
    NodeId::parse(id).unwrap()
}

fn run(service: &str) -> ServiceId {
    ServiceId::parse(service).unwrap()
}

fn member(id: &str, service: &str, state: NodeState) -> Told {
    Told {
        id: node(id),
        service: Some(run(service)),
        state,
        draining: false,
        weight: 1,
        zone: None,
        at: NodeAddresses { api: "10.0.0.1:1985".into(), ..NodeAddresses::default() },
        public: Vec::new(),
        limits: NodeLimits::default(),
    }
}

fn members(version: u64, members: &[Told]) -> Membership {
    Membership { version, members: members.to_vec() }
}

#[test]
fn media_ports_are_as_told_and_srs_s_own_where_the_setting_is_silent() {
    let mut named = upstream(1985, Some("n1"));
    named.endpoints = BTreeMap::from([("rtmp", "1936".to_owned()), ("srt", "10.0.0.9:10081".to_owned())]);
    let mut table = NodeTable::new(&[named]);
    let told =
        NodeAddresses { api: "10.0.0.1:1985".into(), rtmp: Some("10.0.0.1:1935".into()), ..NodeAddresses::default() };
    let told = Told { at: told, ..member("n2", "run1", NodeState::Up) };
    table.learn(&members(1, &[member("n1", "run1", NodeState::Up), told])).unwrap();
    let at = table.get(&node("n1")).unwrap().at;
    assert_eq!(at.rtmp.as_deref(), Some("127.0.0.1:1936"));
    assert_eq!(at.srt.as_deref(), Some("10.0.0.9:10081"));
    assert_eq!((at.http.as_deref(), at.rtc.as_deref()), (Some("127.0.0.1:8080"), Some("127.0.0.1:8000")));
    let at = table.get(&node("n2")).unwrap().at;
    assert_eq!((at.rtmp.as_deref(), at.srt), (Some("10.0.0.1:1935"), None), "it has no SRT");
}

#[test]
fn ids_are_learnt_and_restarts_noticed() {
    let mut table = NodeTable::new(&[upstream(1, None), upstream(2, None)]);
    assert_eq!(table.counts(), (0, 2));
    let heard = table.heard(0, &says("n1", "run1")).unwrap();
    assert!(heard.came_up && heard.before.is_none());
    assert!(table.heard(0, &says("n1", "run1")).unwrap().before.is_none());
    assert_eq!(table.heard(0, &says("n1", "run2")).unwrap().before, Some(run("run1")));
    assert_eq!(table.get(&heard.id).unwrap().service.unwrap().as_str(), "run2");
    assert!(matches!(table.heard(1, &says("n1", "run3")), Err(Down::SameId { .. })));
    assert_eq!(table.counts(), (1, 2));
}

#[test]
fn a_node_with_another_name_is_not_used() {
    let mut table = NodeTable::new(&[upstream(1, Some("n1"))]);
    assert!(matches!(table.heard(0, &says("vid-9", "run1")), Err(Down::OtherId { .. })));
    assert_eq!(table.heard(0, &says("", "run1")), Err(Down::Nameless));
    assert!(!table.get(&node("n1")).unwrap().up);
}

#[test]
fn two_silences_or_one_refused_connection_take_a_node_out() {
    let mut table = NodeTable::new(&[upstream(1, None)]);
    let id = table.heard(0, &says("n1", "run1")).unwrap().id;
    assert!(!table.fails(&id, Met::Silent) && table.fails(&id, Met::Silent), "the second takes it out");
    assert!(!table.fails(&id, Met::Silent), "told once");
    assert!(table.to_poll().is_empty(), "it is looked at anyway");
    assert!(table.answers(&id, &run("run1")).unwrap().came_up);
    assert!(table.fails(&id, Met::Refused) && !table.get(&id).unwrap().up);
}

#[test]
fn members_are_believed_until_they_fail_here() {
    let mut table = NodeTable::new(&[]);
    let up = member("n1", "run1", NodeState::Up);
    assert_eq!(table.learn(&members(7, &[up.clone(), member("n2", "r", NodeState::Joining)])), Ok(Vec::new()));
    let at = table.get(&node("n1")).unwrap();
    assert_eq!((at.api.as_str(), at.up, table.counts()), ("http://10.0.0.1:1985/", true, (1, 2)));
    assert!(table.fails(&node("n1"), Met::Refused) && !table.get(&node("n1")).unwrap().up);
    assert_eq!(table.learn(&members(8, std::slice::from_ref(&up))), Ok(vec![Change::Lost(node("n2"))]), "removed");
    assert!(table.in_trouble(&node("n1")), "the cluster's word does not make it good");
    assert!(table.answers(&node("n1"), &run("run1")).unwrap().came_up);
    assert_eq!(table.learn(&members(8, &[])), Ok(Vec::new()), "not newer");
    assert!(table.get(&node("n1")).unwrap().up);
}

#[test]
fn one_of_the_setting_that_failed_is_asked_again_when_the_cluster_has_it_back() {
    let mut table = NodeTable::new(&[upstream(1, Some("n1"))]);
    table.heard(0, &says("n1", "run1")).unwrap();
    table.learn(&members(1, &[member("n1", "run1", NodeState::Up)])).unwrap();
    assert!(table.fails(&node("n1"), Met::Refused));
    // From here on the watch does not look at it any more: it is over.
    assert_eq!(table.learn(&members(2, &[member("n1", "run1", NodeState::Down)])).unwrap(), [Change::Lost(node("n1"))]);
    assert_eq!((table.counts(), table.to_poll().len()), ((0, 1), 0));
    table.learn(&members(3, &[member("n1", "run2", NodeState::Up)])).unwrap();
    assert_eq!((table.counts(), table.to_poll().len()), ((0, 1), 1), "it has to answer here first");
    table.heard(0, &says("n1", "run2")).unwrap();
    assert_eq!((table.counts(), table.get(&node("n1")).unwrap().up), ((1, 1), true));
}

#[test]
fn what_the_membership_changes_is_told_once() {
    let mut table = NodeTable::new(&[]);
    table.learn(&members(1, &[member("n1", "run1", NodeState::Up)])).unwrap();
    let mut learn = |version, state, service| table.learn(&members(version, &[member("n1", service, state)])).unwrap();
    assert_eq!(learn(2, NodeState::Suspect, "run1"), [Change::Suspect(node("n1"))]);
    assert_eq!(learn(3, NodeState::Suspect, "run1"), []);
    assert_eq!(learn(4, NodeState::Down, "run1"), [Change::Lost(node("n1"))]);
    assert_eq!(learn(5, NodeState::Joining, "run2"), [Change::Restarted(node("n1"), run("run2"))]);
    assert_eq!(learn(6, NodeState::Up, "run2"), []);
    assert_eq!(learn(7, NodeState::Up, "run3"), [Change::Restarted(node("n1"), run("run3"))]);
}

#[test]
fn a_run_met_here_is_not_undone_by_a_membership_that_has_not_changed() {
    let mut table = NodeTable::new(&[]);
    table.learn(&members(1, &[member("n1", "run1", NodeState::Up)])).unwrap();
    assert_eq!(table.answers(&node("n1"), &run("run2")).unwrap().before, Some(run("run1")));
    assert_eq!(table.learn(&members(2, &[member("n1", "run1", NodeState::Suspect)])).unwrap().len(), 1);
    assert_eq!(table.get(&node("n1")).unwrap().service, Some(run("run2")));
    assert_eq!(table.learn(&members(3, &[member("n1", "run2", NodeState::Joining)])), Ok(Vec::new()));
}

#[test]
fn the_setting_stands_above_the_membership_for_addresses_and_below_it_for_states() {
    let mut table = NodeTable::new(&[Upstream { weight: 3, ..upstream(1, Some("n1")) }]);
    let drained = Told { draining: true, weight: 9, ..member("n1", "run1", NodeState::Up) };
    table.learn(&members(1, &[drained])).unwrap();
    assert!(!table.get(&node("n1")).unwrap().up, "a node of the setting has to answer first");
    table.heard(0, &says("n1", "run1")).unwrap();
    let at = table.get(&node("n1")).unwrap();
    assert_eq!((at.api.as_str(), at.up), ("http://127.0.0.1:1/", true));
    let on_ring = table.ring().member(&node("n1")).unwrap();
    assert_eq!((on_ring.state, on_ring.weight.get()), (State::Draining, 3));
    table.learn(&members(2, &[])).unwrap();
    assert_eq!(table.ring().member(&node("n1")).unwrap().state, State::Up, "and stays when its enrolment is gone");
}

#[test]
fn without_anybody_to_ask_all_edges_choose_the_same_home_or_none() {
    let all = ["n1", "n2", "n3"].map(|id| member(id, "run", NodeState::Up));
    let (mut here, mut there) = (NodeTable::new(&[]), NodeTable::new(&[]));
    here.learn(&members(1, &all)).unwrap();
    there.learn(&members(1, &all)).unwrap();
    let (home, _) = here.home(b"cam", None).unwrap();
    assert_eq!(there.home(b"cam", None).unwrap().0, home);
    assert!(here.fails(&home, Met::Refused));
    assert_eq!(here.home(b"cam", None), None, "another edge may still reach it");
    let other = all.iter().find(|member| member.id != home).unwrap().id.clone();
    assert_eq!(here.home(b"cam", Some(&other)).unwrap().0, other, "its last home stands first");
    let down = all.clone().map(|m| if m.id == home { Told { state: NodeState::Down, ..m } } else { m });
    here.learn(&members(2, &down)).unwrap();
    there.learn(&members(2, &down)).unwrap();
    let next = here.home(b"cam", Some(&home)).unwrap();
    assert!(
        next.0 != home && there.home(b"cam", None) == Some(next),
        "once the cluster says that it is gone, the next"
    );
}

#[test]
fn a_membership_that_fits_no_ring_changes_nothing() {
    let mut table = NodeTable::new(&[]);
    table.learn(&members(1, &[member("n1", "run1", NodeState::Up)])).unwrap();
    let many: Vec<Told> = (0..=MEMBERS_MAX).map(|n| member(&format!("m{n}"), "r", NodeState::Up)).collect();
    assert!(table.learn(&members(2, &many)).is_err());
    assert_eq!((table.version(), table.counts()), (1, (1, 1)));
    let bad = Told { at: NodeAddresses { api: "http://x/../".into(), ..NodeAddresses::default() }, ..many[0].clone() };
    table.learn(&members(3, &[bad])).unwrap();
    assert_eq!(table.get(&node("m0")), None, "an address that is none is not called");
    assert_eq!(table.home(b"cam", None), None);
}
