use super::*;
use proptest::prelude::*;
use proto::TokenId;

fn session(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

fn node(n: u8) -> NodeId {
    NodeId::parse(&format!("n{n}")).unwrap()
}

fn service(n: u8) -> ServiceId {
    ServiceId::parse(&format!("run{n}")).unwrap()
}

fn owner(n: u8, run: u8, client: u8) -> Owner {
    Owner { node: node(n), service: service(run), client: ClientId::parse(&format!("c{client}")).unwrap() }
}

fn key(n: u8) -> Credential {
    Credential::StreamKey { hash: format!("{n:064}") }
}

fn claim(state: State) -> Claim {
    Claim { epoch: 7, state, credential: key(1) }
}

fn reserved(until_ms: u64) -> Claim {
    claim(State::Reserved { session: session(1), node: node(1), service: service(1), until_ms })
}

fn live() -> Claim {
    claim(State::Live { session: session(1), owner: owner(1, 1, 1) })
}

fn asking(credential: Credential, takeover: bool) -> Ask {
    Ask { session: session(2), credential, takeover }
}

#[test]
fn a_free_or_run_out_stream_goes_to_whoever_asks_under_the_next_epoch() {
    let by = asking(key(2), false);
    assert_eq!(ask(None, 0, &by, Holder::Unseen), Verdict::Granted { epoch: 1 });
    assert_eq!(ask(Some(&claim(State::Free { last: None })), 0, &by, Holder::Unseen), Verdict::Granted { epoch: 8 });
    assert_eq!(ask(Some(&reserved(1000)), 1000, &by, Holder::Unseen), Verdict::Granted { epoch: 8 });
}

#[test]
fn a_reservation_keeps_others_out_for_what_is_left_of_it() {
    assert_eq!(
        ask(Some(&reserved(3001)), 1000, &asking(key(1), false), Holder::Unseen),
        Verdict::Busy { retry_after: 3 }
    );
    assert_eq!(
        ask(Some(&reserved(1001)), 1000, &asking(key(2), false), Holder::Unseen),
        Verdict::Busy { retry_after: 1 }
    );
    assert_eq!(ask(Some(&reserved(3001)), 1000, &asking(key(2), true), Holder::Unseen), Verdict::TakeOver { from: 7 });
}

#[test]
fn the_same_session_asking_twice_keeps_its_epoch() {
    let again = Ask { session: session(1), credential: key(1), takeover: false };
    assert_eq!(ask(Some(&reserved(3000)), 1000, &again, Holder::Unseen), Verdict::Granted { epoch: 7 });
    assert_eq!(ask(Some(&live()), 1000, &again, Holder::Unseen), Verdict::Granted { epoch: 7 });
}

#[test]
fn a_live_stream_is_taken_over_by_every_row_of_the_table() {
    let token = Credential::Token { jti: TokenId::from_bytes([1; 16]) };
    let busy = Verdict::Busy { retry_after: RETRY_AFTER_SECONDS };
    let over = Verdict::TakeOver { from: 7 };
    for (credential, takeover, holder, want) in [
        (key(1), false, Holder::Unseen, Verdict::Look),
        (key(1), false, Holder::Active, busy),
        (key(1), false, Holder::Silent, over),
        (key(1), false, Holder::Gone, over),
        (key(1), true, Holder::Unseen, over),
        (key(1), true, Holder::Active, over),
        (key(2), false, Holder::Unseen, busy),
        (key(2), false, Holder::Active, busy),
        (key(2), false, Holder::Silent, busy),
        (key(2), false, Holder::Gone, over),
        (token.clone(), true, Holder::Active, over),
        (token, false, Holder::Silent, busy),
        (Credential::Open, true, Holder::Active, busy),
        (Credential::Open, false, Holder::Silent, busy),
    ] {
        let got = ask(Some(&live()), 0, &asking(credential.clone(), takeover), holder);
        assert_eq!(got, want, "{credential:?} takeover={takeover} {holder:?}");
    }
}

#[test]
fn strangers_in_open_mode_cannot_wish_each_other_away_but_replace_a_silent_one() {
    let open = Claim { credential: Credential::Open, ..live() };
    let by = asking(Credential::Open, true);
    assert_eq!(ask(Some(&open), 0, &by, Holder::Active), Verdict::Busy { retry_after: RETRY_AFTER_SECONDS });
    assert_eq!(ask(Some(&open), 0, &by, Holder::Silent), Verdict::TakeOver { from: 7 });
}

#[test]
fn a_ticket_opens_its_own_reservation_and_nothing_else() {
    let from = owner(1, 1, 1);
    let no = |why| Confirm::Refused(why);
    assert_eq!(confirm(None, session(1), 7, &from), no(Refusal::NotReserved));
    assert_eq!(confirm(Some(&reserved(9)), session(1), 7, &from), Confirm::Live { epoch: 7 });
    assert_eq!(confirm(Some(&reserved(9)), session(1), 6, &from), no(Refusal::NotReserved));
    assert_eq!(confirm(Some(&reserved(9)), session(2), 7, &from), no(Refusal::NotReserved));
    assert_eq!(confirm(Some(&reserved(9)), session(1), 7, &owner(2, 1, 1)), no(Refusal::Elsewhere));
    assert_eq!(confirm(Some(&reserved(9)), session(1), 7, &owner(1, 2, 1)), no(Refusal::Elsewhere));
}

#[test]
fn a_replayed_ticket_is_refused_and_a_republish_is_a_new_epoch() {
    let from = owner(1, 1, 1);
    assert_eq!(confirm(Some(&live()), session(1), 7, &from), Confirm::Again);
    assert_eq!(confirm(Some(&live()), session(1), 7, &owner(1, 1, 2)), Confirm::Refused(Refusal::OtherClient));
    let left = claim(State::Free { last: Some((session(1), from.clone())) });
    assert_eq!(confirm(Some(&left), session(1), 7, &from), Confirm::Live { epoch: 8 });
    assert_eq!(confirm(Some(&left), session(1), 7, &owner(1, 1, 2)), Confirm::Refused(Refusal::OtherClient));
    assert_eq!(
        confirm(Some(&claim(State::Free { last: None })), session(1), 7, &from),
        Confirm::Refused(Refusal::NotReserved)
    );
}

#[test]
fn only_the_owners_end_frees_a_stream() {
    assert!(ends(&live(), &owner(1, 1, 1)));
    for stranger in [owner(2, 1, 1), owner(1, 2, 1), owner(1, 1, 2)] {
        assert!(!ends(&live(), &stranger));
    }
    assert!(!ends(&reserved(9), &owner(1, 1, 1)));
    assert!(gives_up(&reserved(9), session(1), 7));
    assert!(!gives_up(&reserved(9), session(1), 6) && !gives_up(&reserved(9), session(2), 7));
    assert!(!gives_up(&live(), session(1), 7), "a confirmed publisher is not an edge's to release");
}

#[test]
fn a_new_run_voids_what_the_old_one_carried() {
    assert!(lost(&live(), &node(1), &service(2)) && lost(&reserved(9), &node(1), &service(2)));
    assert!(!lost(&live(), &node(1), &service(1)) && !lost(&live(), &node(2), &service(2)));
}

#[test]
fn silence_is_told_only_after_a_whole_sampling_period() {
    let (holder, watch) = judge(None, 10, 1_000);
    assert_eq!(holder, Holder::Active);
    assert_eq!(judge(Some(watch), 10, 3_000).0, Holder::Active);
    assert_eq!(judge(Some(watch), 10, 1_000 + SILENT_MS), (Holder::Silent, watch));
    assert_eq!(judge(Some(watch), 11, 9_000), (Holder::Active, Watch { bytes: 11, since_ms: 9_000 }));
}

/// One step of a run of the rules.
#[derive(Debug, Clone)]
enum Step {
    Ask { session: u8, credential: u8, takeover: bool, holder: Holder },
    Confirm { session: u8, epoch_back: u64, client: u8 },
    End { client: u8 },
    GiveUp { session: u8 },
    Expire,
    Restart,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let holder = prop::sample::select(vec![Holder::Unseen, Holder::Active, Holder::Silent, Holder::Gone]);
    prop_oneof![
        (0..4_u8, 0..3_u8, any::<bool>(), holder).prop_map(|(session, credential, takeover, holder)| Step::Ask {
            session,
            credential,
            takeover,
            holder
        }),
        (0..4_u8, 0..2_u64, 0..4_u8).prop_map(|(session, epoch_back, client)| Step::Confirm {
            session,
            epoch_back,
            client
        }),
        (0..4_u8).prop_map(|client| Step::End { client }),
        (0..4_u8).prop_map(|session| Step::GiveUp { session }),
        Just(Step::Expire),
        Just(Step::Restart),
        (0..15_000_u64).prop_map(Step::Wait),
    ]
}

/// The rules carried out on one stream.
struct Stream {
    claim: Option<Claim>,
    now_ms: u64,
    run: u8,
}

impl Stream {
    fn take(&mut self, by: &Ask, epoch: u64) {
        let (node, service) = (node(1), service(self.run));
        let until_ms = self.now_ms + 10_000;
        let state = State::Reserved { session: by.session, node, service, until_ms };
        self.claim = Some(Claim { epoch, state, credential: by.credential.clone() });
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Ask { session: s, credential, takeover, holder } => {
                let by = Ask { session: session(s), credential: key(credential), takeover };
                let already = matches!(&self.claim, Some(Claim { state: State::Live { session, .. }, .. }) if *session == by.session);
                match ask(self.claim.as_ref(), self.now_ms, &by, holder) {
                    Verdict::Granted { epoch } if !already => self.take(&by, epoch),
                    Verdict::TakeOver { from } => self.take(&by, from + 1),
                    Verdict::Granted { .. } | Verdict::Look | Verdict::Busy { .. } => {}
                }
            }
            Step::Confirm { session: s, epoch_back, client } => {
                let from = owner(1, self.run, client);
                let epoch = self.claim.as_ref().map_or(0, |c| c.epoch).saturating_sub(epoch_back);
                if let Confirm::Live { epoch } = confirm(self.claim.as_ref(), session(s), epoch, &from) {
                    let claim = self.claim.as_mut().expect("confirmed");
                    claim.epoch = epoch;
                    claim.state = State::Live { session: session(s), owner: from };
                }
            }
            Step::End { client } => {
                let from = owner(1, self.run, client);
                if let Some(claim) = self.claim.as_mut().filter(|c| ends(c, &from)) {
                    let State::Live { session, owner } = &claim.state else { unreachable!() };
                    claim.state = State::Free { last: Some((*session, owner.clone())) };
                }
            }
            Step::GiveUp { session: s } => {
                if let Some(claim) = self.claim.as_mut().filter(|c| gives_up(c, session(s), c.epoch)) {
                    claim.state = State::Free { last: None };
                }
            }
            Step::Expire => {
                if let Some(claim) = self.claim.as_mut().filter(|c| expired(c, self.now_ms)) {
                    claim.state = State::Free { last: None };
                }
            }
            Step::Restart => {
                self.run += 1;
                if let Some(claim) = self.claim.as_mut().filter(|c| lost(c, &node(1), &service(self.run))) {
                    claim.state = State::Free { last: None };
                }
            }
            Step::Wait(ms) => self.now_ms += ms,
        }
    }
}

proptest! {
    #[test]
    fn the_epoch_never_falls_and_every_new_owner_has_its_own(steps in prop::collection::vec(step(), 0..60)) {
        let mut stream = Stream { claim: None, now_ms: 0, run: 0 };
        let mut epoch = 0;
        let mut owners: std::collections::HashMap<u64, (SessionId, Owner)> = std::collections::HashMap::new();
        for step in &steps {
            stream.step(step);
            let now = stream.claim.as_ref().map_or(0, |c| c.epoch);
            prop_assert!(now >= epoch, "fell from {} to {}", epoch, now);
            epoch = now;
            if let Some(Claim { state: State::Live { session, owner }, epoch, .. }) = &stream.claim {
                let first = owners.entry(*epoch).or_insert_with(|| (*session, owner.clone()));
                prop_assert_eq!(first, &(*session, owner.clone()), "two owners under epoch {}", epoch);
            }
        }
    }

    #[test]
    fn a_strangers_end_changes_nothing(client in 2..200_u8, n in 1..4_u8, run in 1..4_u8) {
        prop_assert!(!ends(&live(), &owner(n, run, client)));
    }
}
