//! Media nodes as placement sees them.

use proto::NodeId;
use std::fmt;

/// Largest weight.
pub const WEIGHT_MAX: u8 = 100;

/// A node's share of the streams, relative to the others': 1 to [`WEIGHT_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u8);

/// Not a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a weight is 1 to {WEIGHT_MAX}, not {got}")]
pub struct WeightError {
    /// The number given.
    pub got: u64,
}

impl Weight {
    /// The weight of a node that nobody gave one.
    pub const ONE: Self = Self(1);

    /// Checks a weight.
    ///
    /// # Errors
    /// [`WeightError`] for 0 and for more than [`WEIGHT_MAX`].
    pub fn new(weight: u64) -> Result<Self, WeightError> {
        let fits = u8::try_from(weight).ok().filter(|weight| (1..=WEIGHT_MAX).contains(weight));
        fits.map(Self).ok_or(WeightError { got: weight })
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

/// Where a node stands: any name the operator gives, compared as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(pub Box<str>);

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A node's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum State {
    /// Enrolled, not yet seen to work.
    #[default]
    Joining,
    /// Takes streams.
    Up,
    /// One witness misses it; takes a stream only if no node is up.
    Suspect,
    /// Keeps the streams it has and takes no more.
    Draining,
    /// Gone.
    Down,
}

impl State {
    /// The word used in the API, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Draining => "draining",
            Self::Down => "down",
        }
    }
}

/// One media node. Only its id and weight decide where it stands on the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// Its share.
    pub weight: Weight,
    /// Where it stands, if anybody said so.
    pub zone: Option<Zone>,
    /// Its life.
    pub state: State,
    /// What it may carry at most.
    pub limits: Limits,
}

impl Member {
    /// A node that is up, of weight 1, in no zone and without limits.
    #[must_use]
    pub fn new(id: NodeId) -> Self {
        Self { id, weight: Weight::ONE, zone: None, state: State::Up, limits: Limits::default() }
    }
}

/// What a node carries now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Streams claimed on it, live or reserved.
    pub streams: u32,
    /// Clients connected to it, publishers and viewers.
    pub clients: u32,
    /// What it sends and receives together, kbit/s.
    pub bandwidth_kbps: u64,
}

/// What a node may carry at most; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Streams.
    pub streams: Option<u32>,
    /// Clients.
    pub clients: Option<u32>,
    /// Both directions together, kbit/s.
    pub bandwidth_kbps: Option<u64>,
}

/// What a node has run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Streams.
    Streams,
    /// Clients.
    Clients,
    /// kbit/s.
    Bandwidth,
}

impl Resource {
    /// The word used in explanations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Clients => "clients",
            Self::Bandwidth => "kbit/s",
        }
    }
}

impl Limits {
    /// What one more publisher would find full, with the amount used and the limit.
    #[must_use]
    pub fn exhausted(&self, load: &Load) -> Option<(Resource, u64, u64)> {
        let of = |resource, used: u64, limit: Option<u64>| {
            limit.filter(|limit| used >= *limit).map(|limit| (resource, used, limit))
        };
        of(Resource::Streams, load.streams.into(), self.streams.map(u64::from))
            .or_else(|| of(Resource::Clients, load.clients.into(), self.clients.map(u64::from)))
            .or_else(|| of(Resource::Bandwidth, load.bandwidth_kbps, self.bandwidth_kbps))
    }
}
