//! One row of the table: what was done, what it cost, and which promises that broke. Pure.

use super::tally::{Doubles, Losses, percentile};
use std::{collections::BTreeMap, time::Duration};

/// What is done to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// `kill -9` of a media node.
    Node,
    /// `kill -9` of the control-api that probes a media node.
    Prober,
    /// Redis is stopped for a while.
    Redis,
    /// PostgreSQL is restarted.
    Postgres,
    /// `kill -9` of an edge.
    Edge,
    /// A control-api is frozen for a while: it hears and says nothing and its connections stay open, as behind a cut.
    Partition,
    /// A media node is drained with a deadline.
    Drain,
}

impl Kind {
    /// All of them, in the order of a run.
    pub const ALL: [Self; 7] =
        [Self::Node, Self::Prober, Self::Redis, Self::Postgres, Self::Edge, Self::Partition, Self::Drain];

    /// For the table.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Node => "kill -9 a node",
            Self::Prober => "kill -9 the prober",
            Self::Redis => "Redis stopped",
            Self::Postgres => "PostgreSQL restarted",
            Self::Edge => "kill -9 an edge",
            Self::Partition => "control-api cut off",
            Self::Drain => "drain a node",
        }
    }

    /// What is promised.
    #[must_use]
    pub fn limits(self) -> Limits {
        let s = Duration::from_secs;
        // Caddy tries another process for 3 s, a client's own POST is answered by a node in well under 1 s.
        let usual = Limits { publish: s(3), watch: s(3), reopened: s(10), equal: s(15), detect: None };
        match self {
            // Down within 3 s (docs/failures.md); until then a new stream may be sent to the dead node, whose refusal moves it on.
            Self::Node => Limits { publish: s(5), detect: Some(s(3)), ..usual },
            Self::Redis | Self::Partition => Limits { publish: s(5), watch: s(5), ..usual },
            // Its own restart takes 1 to 3 s, and a stream that was never live has no last home.
            Self::Postgres => Limits { publish: s(8), ..usual },
            Self::Prober | Self::Edge => usual,
            Self::Drain => Limits { detect: Some(s(2)), ..usual },
        }
    }
}

/// Promises in time. All from the moment of the fault, but what is said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest time without a good POST of a new publisher.
    pub publish: Duration,
    /// Longest time without a good POST of a new viewer of a stream that is not touched.
    pub watch: Duration,
    /// Until everybody who lost a session had the next 201; of a drain, from its deadline.
    pub reopened: Duration,
    /// Until all tables are equal again; after an outage, from its end.
    pub equal: Duration,
    /// Until every control-api that lives says so.
    pub detect: Option<Duration>,
}

/// Longest time for which two publishers of a stream are borne (docs/failures.md).
const DOUBLE_MAX: Duration = Duration::from_secs(5);

/// Clients that stand still for longer lose media that was there; nothing is promised to them.
const STALL_MAX: Duration = Duration::from_secs(1);

/// What came of one scenario.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was done.
    pub kind: Kind,
    /// To whom, and for how long.
    pub target: String,
    /// Why it could not be done, if so; the rest is then empty.
    pub failed: Option<String>,
    /// What the clients lost.
    pub losses: Losses,
    /// Until it was known; `None` when it was not known in time.
    pub detect: Option<Duration>,
    /// Longest time without a good POST of new publishers.
    pub publish: Option<Duration>,
    /// The same of new viewers.
    pub watch: Option<Duration>,
    /// How long the fault lasted, where it ended by itself.
    pub lasted: Duration,
    /// Until all tables were equal, from the end of the fault; or what was unequal when the waiting ended.
    pub equal: Result<Duration, String>,
    /// Streams that had two publishers.
    pub doubles: Doubles,
    /// Answers that probes got, by status; 0 is none.
    pub answers: BTreeMap<u16, usize>,
    /// How late the clients' own process was at worst.
    pub stall: Duration,
}

impl Row {
    /// One that could not be done.
    #[must_use]
    pub fn failed(kind: Kind, target: String, why: String) -> Self {
        Self {
            kind,
            target,
            failed: Some(why),
            losses: Losses::default(),
            detect: None,
            publish: None,
            watch: None,
            lasted: Duration::ZERO,
            equal: Ok(Duration::ZERO),
            doubles: Doubles::default(),
            answers: BTreeMap::new(),
            stall: Duration::ZERO,
        }
    }

    /// Promises that were broken, in words.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        if let Some(why) = &self.failed {
            return vec![format!("could not be done: {why}")];
        }
        let limits = self.kind.limits();
        let mut broken = Vec::new();
        if self.stall > STALL_MAX {
            broken.push(format!(
                "the clients themselves stood still for {}: this machine has too much to do",
                seconds(self.stall)
            ));
        }
        if !self.losses.needless.is_empty() {
            let who = &self.losses.needless;
            let shown: Vec<_> = who.iter().take(8).map(ToString::to_string).collect();
            broken.push(format!(
                "{} sessions were lost that could have lived (clients {})",
                who.len(),
                shown.join(", ")
            ));
        }
        let late = |what: &str, took: Option<Duration>, limit: Duration| match took {
            Some(took) if took <= limit => None,
            Some(took) => Some(format!("{what}: {} and not {}", seconds(took), seconds(limit))),
            None => Some(format!("{what}: not seen, and promised within {}", seconds(limit))),
        };
        broken.extend(limits.detect.and_then(|limit| late("known everywhere", self.detect, limit)));
        broken.extend(late("longest time without a good POST of a new publisher", self.publish, limits.publish));
        broken.extend(late("longest time without a good POST of a new viewer", self.watch, limits.watch));
        let reopened_by = match self.kind {
            Kind::Drain => limits.reopened + self.lasted,
            Kind::Node | Kind::Prober | Kind::Redis | Kind::Postgres | Kind::Edge | Kind::Partition => limits.reopened,
        };
        if let Some(last) = self.losses.reopened.last() {
            broken.extend(late("the last lost client's next good POST", Some(*last), reopened_by));
        }
        if !self.losses.out.is_empty() {
            broken.push(format!("{} clients had no media again at the end", self.losses.out.len()));
        }
        match &self.equal {
            Ok(took) => broken.extend(late("tables equal again", Some(*took), limits.equal)),
            Err(why) => broken.push(format!("tables not equal within {}: {why}", seconds(limits.equal))),
        }
        let long = self.doubles.seen().iter().filter(|(_, time)| **time > DOUBLE_MAX);
        broken.extend(long.map(|(stream, time)| format!("{stream} had two publishers for {}", seconds(*time))));
        broken
    }

    /// The cells of the table, under [`HEAD`].
    #[must_use]
    pub fn cells(&self) -> Vec<String> {
        let or_dash = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), seconds);
        if self.failed.is_some() {
            let mut cells = vec![self.kind.title().to_owned(), self.target.clone()];
            cells.resize(HEAD.len(), "-".to_owned());
            return cells;
        }
        let reopened = match (percentile(&self.losses.reopened, 50), self.losses.reopened.last()) {
            (Some(median), Some(last)) => format!("{} / {}", seconds(median), seconds(*last)),
            _ => "-".to_owned(),
        };
        vec![
            self.kind.title().to_owned(),
            self.target.clone(),
            self.losses.watched.to_string(),
            self.losses.lost.to_string(),
            self.losses.had_to.to_string(),
            or_dash(self.detect),
            or_dash(self.publish),
            or_dash(self.watch),
            reopened,
            self.equal.as_ref().map_or_else(|_| "never".to_owned(), |took| seconds(*took)),
            self.doubles.seen().len().to_string(),
            seconds(self.stall),
        ]
    }
}

/// The head of the table.
pub const HEAD: [&str; 12] = [
    "fault",
    "of",
    "sessions",
    "lost",
    "had to be",
    "detected",
    "publisher gap",
    "viewer gap",
    "lost: next POST (median / last)",
    "tables equal",
    "two publishers",
    "stall",
];

/// Seconds with two digits.
#[must_use]
pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn good(kind: Kind) -> Row {
        let s = |s| Some(Duration::from_secs(s));
        Row {
            detect: s(1),
            publish: s(1),
            watch: s(1),
            failed: None,
            ..Row::failed(kind, "node-0".into(), String::new())
        }
    }

    #[test]
    fn what_keeps_all_promises_breaks_none() {
        for kind in Kind::ALL {
            assert_eq!(good(kind).broken(), Vec::<String>::new(), "{kind:?}");
            assert_eq!(good(kind).cells().len(), HEAD.len());
        }
    }

    #[test]
    fn every_promise_can_be_broken() {
        let row = good(Kind::Node);
        let broken = |row: Row| {
            let broken = row.broken();
            assert_eq!(broken.len(), 1, "{broken:?}");
            broken[0].clone()
        };
        assert!(broken(Row { failed: Some("no".into()), ..row.clone() }).contains("could not be done"));
        let needless = Losses { needless: vec![7], ..Losses::default() };
        assert!(broken(Row { losses: needless, ..row.clone() }).contains("1 sessions were lost"));
        assert!(broken(Row { detect: None, ..row.clone() }).contains("known everywhere: not seen"));
        assert!(broken(Row { publish: Some(Duration::from_secs(6)), ..row.clone() }).contains("6.00 s and not 5.00 s"));
        assert!(broken(Row { watch: None, ..row.clone() }).contains("new viewer: not seen"));
        let late = Losses { reopened: vec![Duration::from_secs(11)], ..Losses::default() };
        assert!(broken(Row { losses: late, ..row.clone() }).contains("last lost client"));
        assert!(broken(Row { stall: Duration::from_secs(2), ..row.clone() }).contains("stood still for 2.00 s"));
        let out = Losses { out: vec![1], ..Losses::default() };
        assert!(broken(Row { losses: out, ..row.clone() }).contains("1 clients had no media"));
        assert!(broken(Row { equal: Err("a and b".into()), ..row.clone() }).contains("a and b"));
        let mut doubles = Doubles::default();
        for at in [0, 6] {
            doubles.look(Duration::from_secs(at), &BTreeSet::from(["cam".to_owned()]));
        }
        assert!(broken(Row { doubles, ..row }).contains("cam had two publishers for 6.00 s"));
    }

    #[test]
    fn a_drain_is_given_its_deadline() {
        let losses = Losses { reopened: vec![Duration::from_secs(18)], ..Losses::default() };
        assert_eq!(Row { losses, lasted: Duration::from_secs(10), ..good(Kind::Drain) }.broken(), Vec::<String>::new());
    }
}
