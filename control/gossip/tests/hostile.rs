//! Messages that are not what they should be: refused with a reason, and nothing is changed.
#![expect(clippy::unwrap_used, reason = "names made here are well formed")]

use gossip::{Core, Error, Keys, Now, Origin, Output, limits};
use proptest::prelude::*;
use proto::{
    ClientId, ControlId, NodeId, ServiceId, SessionId, StreamId,
    secret::{ClusterSecret, Keyring},
    session::{Known, Protocol, Role, Session},
};

const NOW: Now = Now { mono_ms: 1_000, unix_ms: 1_790_000_000_000 };
const LATER: Now = Now { mono_ms: 1_010, unix_ms: 1_790_000_000_010 };

fn node(name: &str, secret: &str) -> Core {
    let keys = Keys::new(&Keyring { current: ClusterSecret::from_setting(secret), previous: None });
    let mut core = Core::new(Origin { control: ControlId::parse(name).unwrap(), incarnation: 1 }, keys, 1, NOW);
    core.channel_up(NOW);
    core
}

fn known(n: u8) -> Known {
    let session = Session {
        id: SessionId::from_bytes([n; 16]),
        stream: StreamId::parse("cam").unwrap(),
        role: Role::Play,
        protocol: Protocol::Srt,
        node: NodeId::parse("n0").unwrap(),
        service: ServiceId::parse("run").unwrap(),
        client_id: ClientId::parse(&format!("c{n}")).unwrap(),
        edge: None,
        ip: None,
        epoch: 1,
        broadcast: None,
        opened_at: time::OffsetDateTime::UNIX_EPOCH,
        closed_at: None,
        reason: None,
    };
    Known { session, owner: None, credential: None }
}

fn published(core: &mut Core) -> Vec<Vec<u8>> {
    core.tick(LATER);
    let published = core
        .outputs()
        .into_iter()
        .filter_map(|output| if let Output::Publish(bytes) = output { Some(bytes) } else { None });
    published.collect()
}

/// What one node says after opening some sessions.
fn said(name: &str, secret: &str) -> Vec<Vec<u8>> {
    let mut core = node(name, secret);
    for n in 0..5 {
        core.open(NOW, &known(n));
    }
    published(&mut core)
}

fn unchanged(core: &mut Core, bytes: &[u8], now: Now) -> Error {
    let before = (core.size(), core.digest());
    let error = core.message(now, bytes).unwrap_err();
    assert_eq!((core.size(), core.digest()), before);
    assert!(core.outputs().is_empty());
    error
}

fn quiet(name: &str) -> Core {
    let mut core = node(name, "ours");
    published(&mut core);
    core
}

#[test]
fn strangers_and_bad_clocks_are_refused() {
    let mut core = quiet("c-a");
    for bytes in said("c-b", "theirs") {
        assert_eq!(unchanged(&mut core, &bytes, LATER), Error::Stranger);
    }
    for bytes in said("c-b", "ours") {
        let late = Now { unix_ms: LATER.unix_ms + limits::CLOCK_SKEW_MAX_MS + 1_000, ..LATER };
        assert!(matches!(unchanged(&mut core, &bytes, late), Error::Clock { .. }), "replayed, or a clock is wrong");
        core.message(LATER, &bytes).unwrap();
        core.outputs();
    }
    assert_eq!(core.size().open, 5);
}

#[test]
fn a_vector_from_the_future_is_refused() {
    // Another process under our own name and life has numbered further than we have.
    let mut core = quiet("c-a");
    let own = said("c-a", "ours");
    assert_eq!(unchanged(&mut core, own.last().unwrap(), LATER), Error::Future);
    let mut other = quiet("c-b");
    let mut twin = node("c-a", "ours");
    twin.open(NOW, &known(1));
    for bytes in published(&mut twin) {
        other.message(LATER, &bytes).unwrap();
    }
    other.leave(LATER);
    let beacon = other
        .outputs()
        .into_iter()
        .rev()
        .find_map(|output| if let Output::Publish(bytes) = output { Some(bytes) } else { None });
    assert_eq!(unchanged(&mut core, &beacon.unwrap(), LATER), Error::Future);
}

#[test]
fn a_wish_for_somebody_else_is_refused() {
    let mut asker = quiet("c-b");
    let mut owner = quiet("c-a");
    for n in 0..5 {
        owner.open(LATER, &known(n));
    }
    let later = |ms| Now { mono_ms: LATER.mono_ms + ms, ..LATER };
    owner.tick(later(limits::BEACON_MS));
    let vector = owner
        .outputs()
        .into_iter()
        .rev()
        .find_map(|output| if let Output::Publish(bytes) = output { Some(bytes) } else { None });
    let vector = vector.unwrap();
    // The changes themselves are lost.
    asker.message(later(limits::BEACON_MS), &vector).unwrap();
    asker.tick(later(limits::BEACON_MS + 1));
    asker.tick(later(limits::BEACON_MS + 1 + limits::GAP_WAIT_MS));
    let asked = asker
        .outputs()
        .into_iter()
        .find_map(|output| if let Output::Send { bytes, .. } = output { Some(bytes) } else { None });
    if let Some(bytes) = asked {
        assert_eq!(unchanged(&mut quiet("c-z"), &bytes, LATER), Error::NotForUs);
        for _ in 0..limits::WANTS_A_SECOND_MAX {
            owner.message(LATER, &bytes).unwrap();
        }
        assert_eq!(owner.message(LATER, &bytes), Err(Error::TooOften));
    } else {
        panic!("nothing was asked for");
    }
}

proptest! {
    #[test]
    fn damage_changes_nothing(at: prop::sample::Index, byte: u8, cut: prop::sample::Index, which: prop::sample::Index) {
        let all = said("c-b", "ours");
        let whole = which.get(&all);
        let mut core = quiet("c-a");
        let mut damaged = whole.clone();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        if damaged != *whole {
            unchanged(&mut core, &damaged, LATER);
        }
        unchanged(&mut core, &whole[..cut.index(whole.len())], LATER);
    }
}
