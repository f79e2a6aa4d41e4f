//! Emptying a node: how long, of which node not, and who goes first when the time is over.

use super::Invalid;
use proto::{
    NodeId, SessionId, StreamId,
    api::Remaining,
    node::{Membership, NodeState},
    session::{Role, Session},
};
use std::collections::{BTreeMap, BTreeSet};
use time::{Duration, OffsetDateTime};

/// How long a drain leaves streams alone when nothing is said.
pub const DEADLINE: Duration = Duration::minutes(15);
/// Longest drain.
pub const DEADLINE_MAX: Duration = Duration::days(7);
/// Streams ended at once; the next ones a second later, so that not all come back to the others in one moment.
pub const STREAMS_AT_ONCE: usize = 20;

/// When what is left is ended.
///
/// # Errors
/// More than [`DEADLINE_MAX`].
pub fn deadline(seconds: Option<u64>, now: OffsetDateTime) -> Result<OffsetDateTime, Invalid> {
    let wrong = Invalid { field: "deadline_seconds", rule: "must be at most 604800 (7 days)" };
    let Some(seconds) = seconds else { return now.checked_add(DEADLINE).ok_or(wrong) };
    let after = i64::try_from(seconds).map_or(Duration::MAX, Duration::seconds);
    if after > DEADLINE_MAX {
        return Err(wrong);
    }
    now.checked_add(after).ok_or(wrong)
}

/// Whether nobody else would take streams if this node did not. `cordoned` are those that Postgres says are, which a membership tells later.
#[must_use]
pub fn is_last(membership: &Membership, cordoned: &BTreeSet<NodeId>, node: &NodeId) -> bool {
    let takes = |member: &&proto::node::Member| {
        member.state == NodeState::Up && !member.draining && !cordoned.contains(&member.id)
    };
    let up = |wanted: bool| membership.members.iter().filter(takes).any(|member| (member.id == *node) == wanted);
    up(true) && !up(false)
}

/// What is left, by role and protocol.
#[must_use]
pub fn remaining<'a>(sessions: impl IntoIterator<Item = &'a Session>) -> Remaining {
    let mut left = Remaining::default();
    for session in sessions {
        let of = match session.role {
            Role::Publish => &mut left.publish,
            Role::Play => &mut left.play,
        };
        let count = of.entry(session.protocol.as_str().to_owned()).or_default();
        *count = count.saturating_add(1);
    }
    left
}

/// The sessions that go next: whole streams, the youngest first, so that the longest is disturbed last. A stream is as old as its publisher here,
/// or without one as its oldest viewer.
#[must_use]
pub fn next(sessions: &[Session]) -> Vec<SessionId> {
    let mut streams: BTreeMap<&StreamId, (bool, OffsetDateTime)> = BTreeMap::new();
    for session in sessions {
        let publishes = session.role == Role::Publish;
        let since = streams.entry(&session.stream).or_insert((publishes, session.opened_at));
        if publishes && !since.0 {
            *since = (true, session.opened_at);
        } else if publishes == since.0 {
            since.1 = since.1.min(session.opened_at);
        }
    }
    let mut order: Vec<(&StreamId, OffsetDateTime)> = streams.into_iter().map(|(id, (_, since))| (id, since)).collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    order.truncate(STREAMS_AT_ONCE);
    let goes = |session: &&Session| order.iter().any(|(stream, _)| **stream == session.stream);
    sessions.iter().filter(goes).map(|session| session.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{
        ClientId, ServiceId,
        node::{Member, NodeAddresses, NodeLimits},
        session::Protocol,
    };

    fn session(stream: &str, role: Role, at: i64) -> Session {
        Session {
            id: SessionId::from_uuid(uuid::Uuid::from_u128(
                u128::try_from(at).unwrap() * 1_000 + stream.bytes().map(u128::from).sum::<u128>(),
            )),
            stream: StreamId::parse(stream).unwrap(),
            role,
            protocol: Protocol::Webrtc,
            node: NodeId::parse("n1").unwrap(),
            service: ServiceId::parse("s1").unwrap(),
            client_id: ClientId::parse("c1").unwrap(),
            edge: None,
            ip: None,
            epoch: 1,
            broadcast: None,
            opened_at: OffsetDateTime::UNIX_EPOCH + Duration::seconds(at),
            closed_at: None,
            reason: None,
        }
    }

    #[test]
    fn whole_streams_go_youngest_first() {
        let mut all: Vec<Session> = (0..25).map(|n| session(&format!("s{n:02}"), Role::Publish, 100 + n)).collect();
        // The oldest stream's viewer is young, and that does not make the stream young.
        all.push(session("s00", Role::Play, 900));
        all.push(session("s24", Role::Play, 901));
        all.push(session("alone", Role::Play, 1));
        let gone = next(&all);
        assert_eq!(gone.len(), STREAMS_AT_ONCE + 1, "20 publishers and the viewer of one");
        let left: Vec<&Session> = all.iter().filter(|s| !gone.contains(&s.id)).collect();
        let names: Vec<&str> = left.iter().map(|s| s.stream.as_str()).collect();
        assert_eq!(names, ["s00", "s01", "s02", "s03", "s04", "s00", "alone"]);
        let rest: Vec<Session> = left.into_iter().cloned().collect();
        assert_eq!(next(&rest).len(), rest.len());
        assert_eq!(remaining(&rest).publish.get("webrtc"), Some(&5));
        assert!(next(&[]).is_empty());
    }

    #[test]
    fn deadlines_have_an_end() {
        let now = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(deadline(None, now), Ok(now + DEADLINE));
        assert_eq!(deadline(Some(0), now), Ok(now));
        assert_eq!(deadline(Some(604_800), now), Ok(now + DEADLINE_MAX));
        assert!(deadline(Some(604_801), now).is_err() && deadline(Some(u64::MAX), now).is_err());
    }

    #[test]
    fn the_last_node_that_takes_streams_is_known() {
        let member = |id: &str, state, draining| Member {
            id: NodeId::parse(id).unwrap(),
            service: None,
            state,
            draining,
            weight: 1,
            zone: None,
            at: NodeAddresses::default(),
            public: Vec::new(),
            limits: NodeLimits::default(),
        };
        let up = NodeState::Up;
        let of = |members| Membership { version: 1, members };
        let one = NodeId::parse("a").unwrap();
        let last = |members, cordoned: &[&str]| {
            is_last(&of(members), &cordoned.iter().map(|id| NodeId::parse(id).unwrap()).collect(), &one)
        };
        assert!(last(vec![member("a", up, false), member("b", up, true), member("c", NodeState::Down, false)], &[]));
        assert!(!last(vec![member("a", up, false), member("b", up, false)], &[]));
        assert!(last(vec![member("a", up, false), member("b", up, false)], &["b"]), "the membership does not know yet");
        assert!(!last(vec![member("a", up, false), member("b", up, true)], &["a"]), "it takes none anyway");
        assert!(!last(vec![member("a", NodeState::Down, false)], &[]), "it takes none anyway");
    }
}
