use super::*;
use proptest::prelude::*;
use proto::{ControlId, EdgeId};

fn run(n: u8) -> ServiceId {
    ServiceId::parse(&format!("run{n}")).unwrap()
}

fn edge() -> Witness {
    Witness::Edge(EdgeId::parse("e1").unwrap())
}

fn other() -> Witness {
    Witness::Control(ControlId::parse("c2").unwrap())
}

/// A machine, and what came out of it.
struct Case {
    health: Health,
    now_ms: u64,
    out: Vec<Output>,
}

impl Case {
    /// A node that is up since a moment, heard and probed just now.
    fn up() -> Self {
        let mut case = Self { health: Health::default(), now_ms: 1_000_000, out: Vec::new() };
        case.beat(1).checked().probe(Met::Answered).is(NodeState::Up);
        case.out.clear();
        case
    }

    fn tell(&mut self, input: Input) -> &mut Self {
        let out = self.health.step(input, self.now_ms);
        self.out.extend(out);
        self
    }

    fn beat(&mut self, n: u8) -> &mut Self {
        self.tell(Input::Beat(run(n)))
    }

    fn checked(&mut self) -> &mut Self {
        self.tell(Input::Checked(true))
    }

    fn probe(&mut self, met: Met) -> &mut Self {
        let service = self.health.service().cloned().unwrap_or_else(|| run(1));
        self.tell(Input::Word(Witness::Prober, service, met))
    }

    fn word(&mut self, by: Witness, met: Met) -> &mut Self {
        let service = self.health.service().cloned().unwrap_or_else(|| run(1));
        self.tell(Input::Word(by, service, met))
    }

    fn after(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        self.tell(Input::Tick)
    }

    #[track_caller]
    fn is(&mut self, state: NodeState) -> &mut Self {
        assert_eq!(self.health.state(), state, "{:?}", self.health);
        self
    }

    #[track_caller]
    fn because(&mut self, cause: Cause) -> &mut Self {
        let last = self.out.iter().rev().find_map(|output| match output {
            Output::Changed { cause, .. } => Some(*cause),
            Output::Run(_) | Output::Look | Output::Ask | Output::Clear => None,
        });
        assert_eq!(last, Some(cause), "{:?}", self.out);
        self
    }

    fn count(&self, wanted: &Output) -> usize {
        self.out.iter().filter(|output| *output == wanted).count()
    }
}

#[test]
fn a_node_joins_when_it_was_heard_checked_and_answers() {
    let mut case = Case { health: Health::default(), now_ms: 1_000_000, out: Vec::new() };
    case.probe(Met::Answered).is(NodeState::Joining);
    case.beat(1).is(NodeState::Joining);
    case.checked().is(NodeState::Up).because(Cause::Answers);
    assert_eq!(case.count(&Output::Run(run(1))), 1);
}

#[test]
fn who_was_only_told_that_a_node_is_down_ends_nothing_before_it_looked_itself() {
    let mut case = Case::up();
    case.health.judge(false);
    case.after(4_000).tell(Input::Told(NodeState::Down, Some(run(1)))).is(NodeState::Down);
    case.health.judge(true);
    case.after(0);
    assert!(!case.health.is_gone(case.now_ms), "it may have come back since");
    case.probe(Met::Silent).is(NodeState::Down);
    assert!(case.health.is_gone(case.now_ms));
    case.beat(1);
    assert!(!case.health.is_gone(case.now_ms + VETO_MS - 1) && case.health.is_gone(case.now_ms + VETO_MS));
    case.probe(Met::Answered).is(NodeState::Joining);
    assert!(!case.health.is_gone(case.now_ms + VETO_MS));
}

#[test]
fn what_another_prober_said_of_an_earlier_run_is_not_true_of_the_next() {
    let mut case = Case::up();
    case.health.judge(false);
    case.tell(Input::Told(NodeState::Down, Some(run(1)))).is(NodeState::Down);
    case.beat(2).is(NodeState::Joining);
    case.tell(Input::Told(NodeState::Down, Some(run(1)))).is(NodeState::Joining);
    case.tell(Input::Told(NodeState::Down, Some(run(2)))).is(NodeState::Down);
}

#[test]
fn word_of_a_heartbeat_of_another_run_only_makes_the_prober_look() {
    let mut case = Case { health: Health::default(), now_ms: 1_000_000, out: Vec::new() };
    case.tell(Input::Heard(run(1)));
    assert_eq!(
        (case.health.service(), case.count(&Output::Run(run(1)))),
        (Some(&run(1)), 0),
        "nothing is ended by hearsay"
    );
    case.checked().probe(Met::Answered).is(NodeState::Up);
    case.tell(Input::Heard(run(2))).is(NodeState::Up);
    assert_eq!((case.health.service(), case.out.last()), (Some(&run(1)), Some(&Output::Look)));
    case.tell(Input::Word(Witness::Prober, run(2), Met::Answered)).is(NodeState::Joining);
    assert_eq!(case.count(&Output::Run(run(2))), 1);
    let looks = case.count(&Output::Look);
    case.tell(Input::Heard(run(1)));
    assert_eq!((case.health.service(), case.count(&Output::Look)), (Some(&run(2)), looks), "that run is over");
}

#[test]
fn one_witness_makes_a_suspect_and_two_good_answers_clear_it() {
    let mut case = Case::up();
    case.after(1_000).probe(Met::Silent).is(NodeState::Suspect).because(Cause::Missed);
    assert_eq!((case.count(&Output::Ask), case.count(&Output::Look)), (1, 1));
    case.after(250).probe(Met::Answered).is(NodeState::Suspect);
    case.after(250).probe(Met::Answered).is(NodeState::Up);
}

#[test]
fn two_that_are_refused_are_believed_at_once_even_against_a_fresh_heartbeat() {
    let mut case = Case::up();
    case.beat(1).probe(Met::Refused).is(NodeState::Suspect);
    case.word(other(), Met::Refused).is(NodeState::Down).because(Cause::TwoRefused);
    let mut case = Case::up();
    case.after(2_000).word(edge(), Met::Refused).is(NodeState::Suspect);
    case.probe(Met::Refused).is(NodeState::Down);
}

#[test]
fn two_that_miss_it_wait_until_no_sign_of_life_stands_against_them() {
    let mut case = Case::up();
    case.after(1_000).beat(1).probe(Met::Silent).word(other(), Met::Silent).is(NodeState::Suspect);
    case.after(2_000).probe(Met::Silent).word(edge(), Met::Refused).is(NodeState::Suspect);
    case.tell(Input::Hook(run(1))).after(2_900).probe(Met::Silent).word(other(), Met::Silent).is(NodeState::Suspect);
    case.after(100).is(NodeState::Down).because(Cause::TwoMissed);
}

#[test]
fn cut_off_from_its_prober_only_a_node_is_a_suspect_for_ever() {
    let mut case = Case::up();
    for _ in 0..120 {
        case.after(1_000).probe(Met::Silent).word(other(), Met::Answered).is(NodeState::Suspect);
    }
    // Heartbeats by another control node say as much.
    let mut case = Case::up();
    for n in 0..120 {
        case.after(1_000).probe(Met::Silent);
        if n % 5 == 0 {
            case.beat(1);
        }
        case.is(NodeState::Suspect);
    }
}

#[test]
fn a_control_node_that_hears_nobody_judges_nobody() {
    let mut case = Case::up();
    for _ in 0..60 {
        case.after(1_000).probe(Met::Silent).tell(Input::Deaf).is(NodeState::Suspect);
    }
    for _ in 0..14 {
        case.after(1_000).probe(Met::Silent).is(NodeState::Suspect);
    }
    case.after(2_000).probe(Met::Silent).is(NodeState::Down).because(Cause::Silence);
}

#[test]
fn without_any_other_witness_fifteen_seconds_of_silence_are_enough() {
    let mut case = Case::up();
    for _ in 0..15 {
        case.after(1_000).probe(Met::Refused).is(NodeState::Suspect);
    }
    case.after(1_000).probe(Met::Refused).is(NodeState::Down).because(Cause::Silence);
}

#[test]
fn an_edge_that_is_cut_off_makes_nobody_suspect() {
    let mut case = Case::up();
    for _ in 0..60 {
        case.after(500).word(edge(), Met::Silent).after(500).probe(Met::Answered).is(NodeState::Up);
    }
    assert_eq!(case.count(&Output::Look), 60, "the prober looks each time");
}

#[test]
fn a_node_that_is_back_stays_joining_until_nothing_stale_is_left() {
    let mut case = Case::up();
    case.probe(Met::Refused).word(edge(), Met::Refused).is(NodeState::Down);
    case.after(500).beat(1).is(NodeState::Down);
    case.probe(Met::Answered).is(NodeState::Joining).because(Cause::Back);
    for _ in 0..5 {
        case.after(250).probe(Met::Answered).tell(Input::Stale(true)).is(NodeState::Joining);
    }
    assert!(case.count(&Output::Clear) >= 5);
    case.tell(Input::Stale(false)).checked().is(NodeState::Up);
}

#[test]
fn another_run_is_a_restart_whatever_the_state() {
    for before in [NodeState::Up, NodeState::Suspect, NodeState::Down] {
        let mut case = Case::up();
        if before != NodeState::Up {
            case.probe(Met::Refused);
        }
        if before == NodeState::Down {
            case.word(edge(), Met::Refused);
        }
        case.is(before);
        case.tell(Input::Word(Witness::Prober, run(2), Met::Answered)).is(NodeState::Joining).because(Cause::Restarted);
        assert_eq!(case.count(&Output::Run(run(2))), 1);
        case.checked().is(NodeState::Up);
        // What the old run says late changes nothing.
        case.beat(1).tell(Input::Hook(run(1))).is(NodeState::Up);
        assert_eq!(case.health.service(), Some(&run(2)));
        case.beat(3).is(NodeState::Joining);
    }
}

#[test]
fn who_does_not_judge_follows_and_begins_with_what_it_was_told() {
    let mut case = Case { health: Health::default(), now_ms: 1_000_000, out: Vec::new() };
    case.health.judge(false);
    case.beat(1).tell(Input::Told(NodeState::Up, Some(run(1)))).is(NodeState::Up);
    case.word(edge(), Met::Refused).probe(Met::Refused).is(NodeState::Up);
    case.health.judge(true);
    case.after(10).is(NodeState::Suspect);
    case.probe(Met::Answered).probe(Met::Answered).is(NodeState::Up);
    case.after(2_000).probe(Met::Answered).is(NodeState::Up);
    case.tell(Input::Told(NodeState::Down, None)).is(NodeState::Up);
}

#[test]
fn witnesses_are_bounded_and_the_probers_word_is_never_forgotten_for_theirs() {
    let mut case = Case::up();
    case.probe(Met::Silent);
    for n in 0..100_u64 {
        let edge = Witness::Edge(EdgeId::parse(&format!("e{n}")).unwrap());
        let word = Input::Word(edge, run(1), Met::Silent);
        case.tell(word);
    }
    assert!(case.health.words.len() <= WITNESSES_MAX);
    assert!(case.health.words.contains_key(&Witness::Prober));
}

fn met() -> impl Strategy<Value = Met> {
    prop_oneof![Just(Met::Answered), Just(Met::Refused), Just(Met::Silent), Just(Met::OtherRun)]
}

fn input() -> impl Strategy<Value = Input> {
    let by = prop_oneof![Just(Witness::Prober), Just(edge()), Just(other())];
    prop_oneof![
        (1..3_u8).prop_map(|n| Input::Beat(run(n))),
        (1..3_u8).prop_map(|n| Input::Heard(run(n))),
        (1..3_u8).prop_map(|n| Input::Hook(run(n))),
        (by, 1..3_u8, met()).prop_map(|(by, n, met)| Input::Word(by, run(n), met)),
        any::<bool>().prop_map(Input::Checked),
        any::<bool>().prop_map(Input::Stale),
        Just(Input::Tick),
    ]
}

proptest! {
    #[test]
    fn down_needs_two_words_or_a_long_silence_and_bears_no_sign_of_life(
        steps in proptest::collection::vec((input(), 0..2_500_u64), 1..120)
    ) {
        let mut health = Health::default();
        let mut now_ms = 1_000_000;
        let (mut sign_ms, mut refused, mut bad) = (0, BTreeMap::new(), BTreeMap::new());
        for (input, pause) in steps {
            now_ms += pause;
            let present = health.service().cloned();
            match &input {
                Input::Beat(service) | Input::Heard(service) | Input::Hook(service) if Some(service) == present.as_ref() => {
                    sign_ms = now_ms;
                }
                Input::Word(by, service, met)
                    if *met != Met::OtherRun
                        && (*by == Witness::Prober || Some(service) == present.as_ref())
                        && !(*met == Met::Answered && health.over.contains(service)) =>
                {
                    refused.remove(by);
                    bad.remove(by);
                    if *met == Met::Refused { refused.insert(by.clone(), now_ms); }
                    if matches!(met, Met::Refused | Met::Silent) { bad.insert(by.clone(), now_ms); }
                }
                Input::Beat(_) | Input::Heard(_) | Input::Hook(_) | Input::Word(..) | Input::Checked(_) | Input::Stale(_) | Input::Told(..)
                | Input::Deaf
                | Input::Tick => {}
            }
            let before = health.state();
            let out = health.step(input, now_ms);
            prop_assert!(health.words.len() <= WITNESSES_MAX && health.over.len() <= OVER_MAX);
            for output in &out {
                if let Output::Changed { from, to, cause } = output {
                    prop_assert_ne!(from, to);
                    match to {
                        NodeState::Down => {
                            let young = |map: &BTreeMap<Witness, u64>| map.values().filter(|at| now_ms - **at < WORD_MS).count();
                            let gone = young(&refused) >= 2;
                            prop_assert!(gone || now_ms - sign_ms >= VETO_MS, "{cause:?} against a sign of life");
                            prop_assert!(young(&bad) >= 2 || (*cause == Cause::Silence && now_ms - sign_ms >= ALONE_MS));
                        }
                        NodeState::Up => prop_assert!(matches!(from, NodeState::Joining | NodeState::Suspect)),
                        NodeState::Joining => prop_assert!(matches!(cause, Cause::Restarted | Cause::Back)),
                        NodeState::Suspect => prop_assert_eq!(*from, NodeState::Up),
                    }
                }
            }
            if before == NodeState::Down { prop_assert_ne!(health.state(), NodeState::Up, "back, but never joining"); }
            if health.state() == NodeState::Up && before == NodeState::Joining { prop_assert!(health.checked && !health.stale); }
        }
    }
}
