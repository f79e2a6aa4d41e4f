use super::*;
use crate::wire::srt::{induction_reply, keep_alive, reject};
use proptest::prelude::*;

const CALLER: u32 = 0x0a0b_0c0d;
const NODE: u32 = 0x0e0f_1011;
const SID: &str = "#!::r=live/cam,m=publish,kst=T";

const fn ms(ms: u64) -> Mono {
    Mono::from_millis(ms)
}

/// A handshake packet of `kind` with a request extension and, from a caller, a stream id.
fn handshake(kind: u32, destination: u32, socket: u32, cookie: u32) -> Vec<u8> {
    let mut out = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    out.extend(destination.to_be_bytes());
    for word in [5_u32, 0x0000_0005, 77, 1500, 8192, kind, socket, cookie, 0x0100_007f, 0, 0, 0] {
        out.extend(word.to_be_bytes());
    }
    if kind == 0xffff_ffff {
        out.extend([0, 1, 0, 3, 0, 1, 5, 1, 0, 0, 0, 0xbf, 0, 0x78, 0, 0]);
        out.extend([0, 5, 0, 1, b'm', b'a', b'c', b'x']);
    }
    out
}

fn asked() -> Vec<u8> {
    handshake(0xffff_ffff, 0, CALLER, 9)
}

fn media(destination: u32) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 1, 0xe0, 0, 0, 1, 0, 0, 0, 0];
    out.extend(destination.to_be_bytes());
    out.extend([0x47; 188]);
    out
}

struct Case {
    session: Session,
}

impl Case {
    fn new() -> Self {
        Self { session: Session::new(ms(0), &asked()).unwrap() }
    }

    fn step(&mut self, at: u64, input: Input<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        self.session.handle(ms(at), input, &mut out);
        out
    }

    /// Leads the handshake up to the node's answer.
    fn open() -> Self {
        let mut case = Self::new();
        let to_node = sent_to_node(&case.step(10, Input::Dial(SID)));
        let reply = induction_reply(&Handshake::read(&to_node).unwrap(), 4242);
        case.step(20, Input::Node(&reply));
        let answer = handshake(0xffff_ffff, CALLER, NODE, 4242);
        assert_eq!(case.step(30, Input::Node(&answer)), [Output::Opened]);
        assert_eq!(case.step(30, Input::Accept), [Output::ToCaller(answer)]);
        case
    }
}

fn sent_to_node(out: &[Output]) -> Vec<u8> {
    let [Output::ToNode(bytes)] = out else { panic!("{out:?}") };
    bytes.clone()
}

#[test]
fn the_handshake_is_led_in_the_callers_name_with_our_stream_id() {
    let mut case = Case::new();
    let induction = sent_to_node(&case.step(10, Input::Dial(SID)));
    let read = Handshake::read(&induction).unwrap();
    assert_eq!((read.kind, read.version, read.socket, read.cookie), (Kind::Induction, 4, CALLER, 0));
    assert_eq!(induction.len(), HANDSHAKE_BYTES);
    assert_eq!(induction[24..28], asked()[24..28], "the same first sequence number");

    let reply = induction_reply(&read, 4242);
    let conclusion = sent_to_node(&case.step(20, Input::Node(&reply)));
    let read = Handshake::read(&conclusion).unwrap();
    assert_eq!((read.kind, read.cookie, read.socket), (Kind::Conclusion, 4242, CALLER));
    assert_eq!(read.stream_id().unwrap().as_deref(), Some(SID));
    assert_eq!(read.extensions().count(), 2, "what the caller asked besides is kept, its own stream id is not");
}

#[test]
fn what_is_lost_is_sent_again_and_nothing_starts_anew() {
    let mut case = Case::new();
    assert_eq!(case.step(5, Input::Caller(&asked())), [], "still being decided");
    let induction = sent_to_node(&case.step(10, Input::Dial(SID)));
    assert_eq!(sent_to_node(&case.step(50, Input::Caller(&asked()))), induction);
    assert_eq!(case.step(60, Input::Tick), [], "too early");
    assert_eq!(case.session.next_at(), ms(250));
    assert_eq!(sent_to_node(&case.step(250, Input::Tick)), induction);
    let reply = induction_reply(&Handshake::read(&induction).unwrap(), 4242);
    let conclusion = sent_to_node(&case.step(260, Input::Node(&reply)));
    assert_eq!(case.step(261, Input::Node(&reply)), [], "its answer came twice");
    assert_eq!(sent_to_node(&case.step(300, Input::Caller(&asked()))), conclusion);
    assert_eq!(sent_to_node(&case.step(500, Input::Tick)), conclusion);
    let answer = handshake(0xffff_ffff, CALLER, NODE, 4242);
    case.step(510, Input::Node(&answer));
    case.step(510, Input::Accept);
    assert_eq!(sent_to_node(&case.step(520, Input::Caller(&asked()))), conclusion, "its answer was lost");
    assert_eq!(case.step(530, Input::Node(&answer)), [Output::Forward]);
    assert_eq!(case.step(540, Input::Caller(&media(NODE))), [Output::Forward]);
    assert_eq!(case.step(550, Input::Caller(&asked())), [], "it has its answer");
}

#[test]
fn the_nodes_answer_waits_until_the_session_is_known() {
    let concluding = || {
        let mut case = Case::new();
        let induction = sent_to_node(&case.step(10, Input::Dial(SID)));
        case.step(20, Input::Node(&induction_reply(&Handshake::read(&induction).unwrap(), 4242)));
        case
    };
    let answer = handshake(0xffff_ffff, CALLER, NODE, 4242);
    let mut case = concluding();
    assert_eq!(case.step(25, Input::Accept), [], "nothing to accept yet");
    assert_eq!(case.step(30, Input::Node(&answer)), [Output::Opened]);
    assert_eq!(case.step(31, Input::Node(&answer)), [], "its answer came twice");
    assert_eq!(case.step(32, Input::Caller(&asked())), [], "it waits");
    assert_eq!(case.step(33, Input::Caller(&media(NODE))), [], "it guesses");
    assert_eq!(case.step(40, Input::Accept), [Output::ToCaller(answer.clone())]);
    assert_eq!(case.step(41, Input::Accept), [], "once");
    assert_eq!(case.step(42, Input::Caller(&media(NODE))), [Output::Forward]);

    let mut case = concluding();
    case.step(30, Input::Node(&answer));
    let out = case.step(35, Input::End);
    let [Output::ToNode(_), Output::ToCaller(refusal), Output::Ended(Ended::Cut)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(Handshake::read(refusal).unwrap().kind, Kind::Rejection(reject::DOWN), "it was never let in");
    assert_eq!(case.step(40, Input::Accept), []);
    assert_eq!(case.step(50, Input::Caller(&asked())), [Output::ToCaller(refusal.clone())]);
}

#[test]
fn only_datagrams_between_the_two_sockets_pass() {
    let mut case = Case::open();
    assert_eq!(case.session.server(), Some(NODE));
    assert_eq!(case.step(40, Input::Caller(&media(NODE))), [Output::Forward]);
    assert_eq!(case.step(40, Input::Node(&media(CALLER))), [Output::Forward]);
    assert_eq!(case.step(40, Input::Caller(&media(NODE + 1))), []);
    assert_eq!(case.step(40, Input::Node(&media(CALLER + 1))), []);
    assert_eq!(case.step(40, Input::Caller(&[0x80])), []);
}

#[test]
fn a_refusal_is_repeated_and_forgotten() {
    let mut case = Case::new();
    let out = case.step(10, Input::Refuse(reject::UNAUTHORIZED));
    let [Output::ToCaller(answer)] = &out[..] else { panic!("{out:?}") };
    let read = Handshake::read(answer).unwrap();
    assert_eq!((read.kind, read.destination), (Kind::Rejection(1401), CALLER));
    assert_eq!(case.step(260, Input::Caller(&asked())), [Output::ToCaller(answer.clone())]);
    assert_eq!(case.step(3_009, Input::Tick), []);
    assert_eq!(case.step(3_010, Input::Tick), [Output::Done]);
}

#[test]
fn a_node_that_refuses_or_is_silent_leads_to_another_decision() {
    let mut case = Case::new();
    let induction = sent_to_node(&case.step(0, Input::Dial(SID)));
    let out = case.step(1_200, Input::Tick);
    assert_eq!(out, [Output::NodeSilent]);
    let again = sent_to_node(&case.step(1_210, Input::Dial(SID)));
    assert_eq!(again, induction);
    let refusal = rejection(&Handshake::read(&again).unwrap(), reject::UNSECURE);
    assert_eq!(case.step(1_220, Input::Node(&refusal)), [Output::NodeRefused(reject::UNSECURE)]);
    assert!(matches!(case.step(1_230, Input::Refuse(reject::UNSECURE))[..], [Output::ToCaller(_)]));
}

#[test]
fn both_sides_are_told_when_the_session_is_cut_and_the_caller_again_while_it_goes_on() {
    let mut case = Case::open();
    let out = case.step(100, Input::End);
    let [Output::ToNode(node), Output::ToCaller(caller), Output::Ended(Ended::Cut)] = &out[..] else {
        panic!("{out:?}")
    };
    assert!(Packet::read(node).unwrap().is_shutdown() && Packet::read(caller).unwrap().is_shutdown());
    assert_eq!(Packet::read(node).unwrap().destination(), NODE);
    assert_eq!(Packet::read(caller).unwrap().destination(), CALLER);
    assert_eq!(case.step(110, Input::Caller(&media(NODE))), [Output::ToCaller(caller.clone())]);
    assert_eq!(case.step(120, Input::Node(&media(CALLER))), [], "nothing comes through any more");
    assert_eq!(case.step(130, Input::End), [], "once is enough");
    assert_eq!(case.step(3_100, Input::Tick), [Output::Done]);
}

#[test]
fn a_shutdown_passes_and_ends_the_session() {
    let mut case = Case::open();
    let out = case.step(100, Input::Caller(&shutdown(NODE, 0)));
    assert_eq!(out, [Output::Forward, Output::Ended(Ended::CallerLeft)]);
    let mut case = Case::open();
    let out = case.step(100, Input::Node(&shutdown(CALLER, 0)));
    assert_eq!(out, [Output::Forward, Output::Ended(Ended::NodeEnded)]);
}

#[test]
fn silence_of_either_side_ends_it_and_keep_alives_do_not_let_it() {
    let mut case = Case::open();
    case.step(9_000, Input::Node(&keep_alive(CALLER, 0)));
    case.step(9_000, Input::Caller(&keep_alive(NODE, 0)));
    assert_eq!(case.session.next_at(), ms(19_000));
    assert_eq!(case.step(10_040, Input::Tick), []);
    case.step(18_000, Input::Node(&keep_alive(CALLER, 0)));
    assert_eq!(case.step(19_000, Input::Tick).last(), Some(&Output::Ended(Ended::CallerSilent)));
    let mut case = Case::open();
    case.step(9_000, Input::Caller(&keep_alive(NODE, 0)));
    assert_eq!(case.step(10_030, Input::Tick).last(), Some(&Output::Ended(Ended::NodeSilent)));
}

#[test]
fn a_node_that_is_gone_is_not_waited_for() {
    let mut case = Case::new();
    assert_eq!(case.step(5, Input::NodeGone), [], "of an earlier attempt");
    case.step(10, Input::Dial(SID));
    assert_eq!(case.step(11, Input::NodeGone), [Output::NodeGone]);
    let mut case = Case::open();
    let out = case.step(100, Input::NodeGone);
    assert_eq!(out.last(), Some(&Output::Ended(Ended::NodeGone)));
    assert!(out.iter().any(|one| matches!(one, Output::ToCaller(_))), "the caller need not find out by itself");
}

#[test]
fn nobody_who_decides_is_waited_for_for_ever() {
    let mut case = Case::new();
    assert_eq!(case.step(5_999, Input::Tick), []);
    assert_eq!(case.step(6_000, Input::Tick), [Output::Done]);
}

#[derive(Debug, Clone)]
enum Op {
    Caller(Vec<u8>),
    Node(Vec<u8>),
    Dial,
    Refuse(u32),
    Accept,
    End,
    NodeGone,
    Tick,
}

fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![Just(0), Just(CALLER), Just(NODE), any::<u32>()];
    let kind = prop_oneof![Just(1), Just(0xffff_ffff), Just(2401), any::<u32>()];
    prop_oneof![
        (kind, id.clone(), id.clone(), any::<u32>())
            .prop_map(|(kind, to, from, cookie)| handshake(kind, to, from, cookie)),
        id.clone().prop_map(media),
        id.clone().prop_map(|to| shutdown(to, 0).to_vec()),
        id.prop_map(|to| keep_alive(to, 0).to_vec()),
        proptest::collection::vec(any::<u8>(), 0..80),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => datagram().prop_map(Op::Caller),
        4 => datagram().prop_map(Op::Node),
        2 => Just(Op::Dial),
        1 => any::<u32>().prop_map(Op::Refuse),
        2 => Just(Op::Accept),
        1 => Just(Op::End),
        1 => Just(Op::NodeGone),
        2 => Just(Op::Tick),
    ]
}

proptest! {
    /// Whatever comes: nothing passes before the node's answer or after the end, the end is told at most once, and every state has an end.
    #[test]
    fn every_order_of_events_keeps_the_promises(ops in proptest::collection::vec((0_u64..400, op()), 0..60)) {
        let mut session = Session::new(ms(0), &asked()).unwrap();
        let (mut now, mut opened, mut ended, mut out) = (0, false, 0, Vec::new());
        for (wait, op) in ops {
            now += wait;
            let was_open = session.server().is_some();
            out.clear();
            match &op {
                Op::Caller(bytes) => session.handle(ms(now), Input::Caller(bytes), &mut out),
                Op::Node(bytes) => session.handle(ms(now), Input::Node(bytes), &mut out),
                Op::Dial => session.handle(ms(now), Input::Dial(SID), &mut out),
                Op::Refuse(reason) => session.handle(ms(now), Input::Refuse(*reason), &mut out),
                Op::Accept => session.handle(ms(now), Input::Accept, &mut out),
                Op::NodeGone => session.handle(ms(now), Input::NodeGone, &mut out),
                Op::End => session.handle(ms(now), Input::End, &mut out),
                Op::Tick => session.handle(ms(now), Input::Tick, &mut out),
            }
            prop_assert!(out.len() <= 3);
            for output in &out {
                match output {
                    Output::Forward => prop_assert!(was_open),
                    Output::Opened => { prop_assert!(!opened); opened = true; }
                    Output::Ended(_) => ended += 1,
                    Output::ToCaller(_) | Output::ToNode(_) | Output::NodeRefused(_) | Output::NodeSilent | Output::NodeGone | Output::Done => {}
                }
            }
            prop_assert!(ended <= 1);
        }
        for _ in 0..5 {
            now += 20_000;
            out.clear();
            session.handle(ms(now), Input::Tick, &mut out);
            if out.contains(&Output::Done) { return Ok(()); }
        }
        prop_assert!(false, "it never ends");
    }
}
