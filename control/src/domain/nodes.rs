//! Media nodes as heard: whether they are up, where their API is, what is known against their version.

use proto::fleet::NodeInfo;

/// Without a heartbeat for this long a node is down, in milliseconds: three beats of 5 s.
pub const SILENT_MS: u64 = 15_000;
/// Oldest SRS 5 that is served. Source: design.md, "SRS versions".
const OLDEST_5: u32 = 200;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Enrolled, never heard.
    Joining,
    /// Heard lately.
    Up,
    /// Not heard for [`SILENT_MS`].
    Down,
}

impl NodeState {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Judges a node by its last heartbeat.
#[must_use]
pub fn state(info: Option<&NodeInfo>, now_ms: u64) -> NodeState {
    match info {
        None => NodeState::Joining,
        Some(info) if now_ms.saturating_sub(info.seen_at_ms) >= SILENT_MS => NodeState::Down,
        Some(_) => NodeState::Up,
    }
}

/// Whether a heartbeat of another run is of a later one. A beat of the old run may be answered late.
#[must_use]
pub fn is_later_run(known: &NodeInfo, beat: &NodeInfo) -> bool {
    let started = |info: &NodeInfo| info.seen_at_ms.saturating_sub(info.uptime_s.saturating_mul(1000));
    // SRS counts whole seconds; two of slack.
    started(beat).saturating_add(2_000) >= started(known)
}

/// What a node received and sent between two of its heartbeats, kbit/s; the last figure when the second tells nothing new.
#[must_use]
pub fn bandwidth_kbps(before: &NodeInfo, beat: &NodeInfo) -> u64 {
    if before.service != beat.service {
        return 0;
    }
    let bytes = beat.traffic_bytes.saturating_sub(before.traffic_bytes);
    let ms = beat.seen_at_ms.saturating_sub(before.seen_at_ms);
    // Bits a millisecond are kilobits a second.
    bytes.saturating_mul(8).checked_div(ms).unwrap_or(before.bandwidth_kbps)
}

/// How a version of SRS is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionVerdict {
    /// Nothing known against it.
    Fine,
    /// It works, with known faults.
    Warn,
    /// It is not served: too old, or a major nobody has tried.
    Refuse,
}

impl VersionVerdict {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Fine, Self::Warn, Self::Refuse];

    /// The word used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Warn => "warn",
            Self::Refuse => "refuse",
        }
    }
}

/// A fault of SRS: the majors and revisions that mend it, and its line for the operator. Older majors have it, later ones do not; without a mend
/// all have it. Source: peers.md 5, srs-facts.md 0.
struct Fault(&'static [(u32, u32)], &'static str);

const FAULTS: [Fault; 4] = [
    Fault(&[], "WHIP takes the stream's name before it asks, and a refused WHIP can go live until it is kicked"),
    Fault(&[(7, 121)], "WHIP and WHEP failures close the connection without an answer (#4502, fixed in 7.0.121)"),
    Fault(
        &[(7, 127), (8, 5)],
        "a publisher and its viewers may land on different sources, so viewers see nothing (#4656, fixed in 7.0.127)",
    ),
    Fault(&[(8, 29)], "with SRT on: the bundled libsrt has two stack overflows (#4727, fixed in 8.0.29)"),
];

impl Fault {
    fn touches(&self, major: u32, revision: u32) -> bool {
        match self.0.iter().find(|(mended, _)| *mended == major) {
            Some((_, mended)) => revision < *mended,
            None => self.0.iter().max().is_none_or(|(latest, _)| major < *latest),
        }
    }
}

/// What is known of a version, with a line per fault for the operator. A major nobody has tried is refused unless `allow_unknown`.
#[must_use]
pub fn version(text: &str, allow_unknown: bool) -> (VersionVerdict, Vec<String>) {
    let mut numbers = text.split('.').map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), _, Some(Some(revision))) = (numbers.next(), numbers.next(), numbers.next()) else {
        // Heartbeats without `summaries on` carry no version.
        return (VersionVerdict::Warn, vec!["version unknown: set `summaries on` in SRS's heartbeat".to_owned()]);
    };
    let mut lines: Vec<String> =
        FAULTS.iter().filter(|fault| fault.touches(major, revision)).map(|Fault(_, line)| (*line).to_owned()).collect();
    match (major, revision) {
        (5, revision) if revision < OLDEST_5 => {
            return (VersionVerdict::Refuse, vec![format!("SRS {text} is older than 5.0.200; take a later one")]);
        }
        (5..=7, _) => {}
        _ if allow_unknown => lines.push(format!("SRS {major} is not known to work")),
        _ => {
            let line = format!("SRS {major} is not known to work; ALLOW_UNKNOWN_SRS=1 lets it join");
            return (VersionVerdict::Refuse, vec![line]);
        }
    }
    (if lines.is_empty() { VersionVerdict::Fine } else { VersionVerdict::Warn }, lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{NodeId, ServiceId};

    fn info(api: &str, ip: &str) -> NodeInfo {
        NodeInfo {
            id: NodeId::parse("n1").unwrap(),
            service: ServiceId::parse("s1").unwrap(),
            version: "5.0.216".into(),
            ip: ip.into(),
            endpoints: [("api".to_owned(), vec![api.to_owned()])].into(),
            cpu: 0.0,
            memory_kib: 0,
            uptime_s: 10,
            clients: 0,
            traffic_bytes: 0,
            bandwidth_kbps: 0,
            seen_at_ms: 100_000,
        }
    }

    #[test]
    fn silence_for_three_beats_is_down() {
        let node = info("1985", "");
        assert_eq!(state(None, 0), NodeState::Joining);
        assert_eq!(state(Some(&node), 114_999), NodeState::Up);
        assert_eq!(state(Some(&node), 115_000), NodeState::Down);
        assert_eq!(state(Some(&node), 1), NodeState::Up, "a clock that is behind");
    }

    #[test]
    fn a_late_beat_of_the_old_run_is_not_a_restart() {
        let known = NodeInfo { uptime_s: 3, ..info("1985", "") };
        assert!(!is_later_run(&known, &NodeInfo { uptime_s: 500, seen_at_ms: 100_500, ..info("1985", "") }));
        assert!(is_later_run(&known, &NodeInfo { uptime_s: 1, seen_at_ms: 130_000, ..info("1985", "") }));
        assert!(is_later_run(&known, &NodeInfo { uptime_s: 0, seen_at_ms: 130_000, ..info("1985", "") }));
    }

    #[test]
    fn bandwidth_is_what_passed_between_two_beats_of_one_run() {
        let before = NodeInfo { traffic_bytes: 1_000, bandwidth_kbps: 7, ..info("1985", "") };
        let beat = NodeInfo { traffic_bytes: 626_000, seen_at_ms: before.seen_at_ms + 5_000, ..before.clone() };
        assert_eq!(bandwidth_kbps(&before, &beat), 1_000);
        assert_eq!(bandwidth_kbps(&before, &NodeInfo { seen_at_ms: before.seen_at_ms, ..beat.clone() }), 7);
        let other = NodeInfo { service: ServiceId::parse("s2").unwrap(), ..beat };
        assert_eq!(bandwidth_kbps(&before, &other), 0);
    }

    #[test]
    fn versions_are_taken_warned_of_or_refused() {
        let of = |text| version(text, false);
        assert_eq!((of("5.0.216").0, of("").0), (VersionVerdict::Warn, VersionVerdict::Warn));
        for refused in ["5.0.100", "9.0.1", "4.0.1"] {
            assert_eq!(of(refused).0, VersionVerdict::Refuse, "{refused}");
        }
        assert_eq!(
            (version("5.0.100", true).0, version("9.0.1", true).0),
            (VersionVerdict::Refuse, VersionVerdict::Warn)
        );
        let faults = |text| version(text, true).1.len();
        assert_eq!(["5.0.216", "7.0.120", "7.0.121", "7.0.127"].map(faults), [4, 4, 3, 2]);
        assert_eq!(["8.0.4", "8.0.29"].map(faults), [4, 2], "its own faults, and that it is not known");
    }
}
