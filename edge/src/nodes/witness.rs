//! What this edge tells the cluster of nodes that misbehave, and when it looks at them again. Pure: time, experiences and answers are inputs.
//!
//! The first bad experience is told at once, since nobody may be nearer to the node than this edge. While it lasts the node is looked at once a
//! second, and what was met is told each time; when the node answers again, that is told once.

use proto::{
    NodeId, ServiceId,
    node::{Met, NodeReport},
};
use std::{collections::BTreeMap, time::Duration};

/// Time since the edge started. A plain number, so that tests can write it down.
pub type Mono = Duration;

/// Between two looks at a node, and between two reports of it.
pub const EVERY: Duration = Duration::from_secs(1);
/// Nodes looked at at once at most: as many as a ring has.
pub const NODES_MAX: usize = placement::MEMBERS_MAX;

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A request met this at a node whose run was thought to be `service`.
    Met {
        /// The node.
        node: NodeId,
        /// The run that was talked to.
        service: ServiceId,
        /// What was met.
        met: Met,
    },
    /// Somebody misses the node, or a request ended in a way that may mean this: have a look.
    Look {
        /// The node.
        node: NodeId,
        /// The run it is thought to have.
        service: ServiceId,
        /// Tell the cluster also when it answers.
        tell: bool,
    },
    /// The answer to [`Output::Probe`].
    Probed {
        /// The node.
        node: NodeId,
        /// What was met.
        met: Met,
    },
    /// The cluster says that it is gone, or has another run: nothing is left to be found out.
    Over(NodeId),
    /// The deadline of [`Witness::next_at`] passed.
    Timeout,
}

/// What the shell must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Ask the node who it is, and give the answer back as [`Input::Probed`], in any case.
    Probe(NodeId),
    /// Tell the cluster.
    Report(NodeId, NodeReport),
}

#[derive(Debug)]
struct Watched {
    service: ServiceId,
    /// When to look again; `None` while a look is under way.
    look_at: Option<Mono>,
    told_at: Option<Mono>,
    /// Say so when it answers.
    tell_good: bool,
}

/// The nodes that are looked at.
#[derive(Debug, Default)]
pub struct Witness {
    watched: BTreeMap<NodeId, Watched>,
}

impl Witness {
    /// Applies one input and returns everything to do about it.
    pub fn handle(&mut self, now: Mono, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Met { node, service, met: met @ (Met::Answered | Met::OtherRun) } => {
                self.settled(&node, Some(service), met, &mut out);
            }
            Input::Met { node, service, met } => {
                if let Some(watched) = self.watch(&node, service, Some(now + EVERY)) {
                    bad(now, &node, watched, met, &mut out);
                }
            }
            Input::Look { node, service, tell } => {
                let known = self.watched.contains_key(&node);
                if let Some(watched) = self.watch(&node, service, None) {
                    watched.tell_good |= tell;
                    if !known {
                        out.push(Output::Probe(node));
                    }
                }
            }
            Input::Probed { node, met: met @ (Met::Answered | Met::OtherRun) } => {
                self.settled(&node, None, met, &mut out);
            }
            Input::Probed { node, met } => {
                if let Some(watched) = self.watched.get_mut(&node) {
                    watched.look_at = Some(now + EVERY);
                    bad(now, &node, watched, met, &mut out);
                }
            }
            Input::Over(node) => drop(self.watched.remove(&node)),
            Input::Timeout => {
                for (node, watched) in &mut self.watched {
                    if watched.look_at.is_some_and(|at| now >= at) {
                        watched.look_at = None;
                        out.push(Output::Probe(node.clone()));
                    }
                }
            }
        }
        out
    }

    /// When the next look is due.
    #[must_use]
    pub fn next_at(&self) -> Option<Mono> {
        self.watched.values().filter_map(|watched| watched.look_at).min()
    }

    fn watch(&mut self, node: &NodeId, service: ServiceId, look_at: Option<Mono>) -> Option<&mut Watched> {
        if self.watched.len() >= NODES_MAX && !self.watched.contains_key(node) {
            return None;
        }
        let fresh = || Watched { service, look_at, told_at: None, tell_good: false };
        Some(self.watched.entry(node.clone()).or_insert_with(fresh))
    }

    /// The node answered, under the run that was expected or another one.
    fn settled(&mut self, node: &NodeId, service: Option<ServiceId>, met: Met, out: &mut Vec<Output>) {
        let watched = self.watched.remove(node);
        let owed = watched.as_ref().is_some_and(|watched| watched.tell_good) || met == Met::OtherRun;
        if let Some(service) = watched.map(|watched| watched.service).or(service)
            && owed
        {
            out.push(Output::Report(node.clone(), NodeReport { service, met }));
        }
    }
}

fn bad(now: Mono, node: &NodeId, watched: &mut Watched, met: Met, out: &mut Vec<Output>) {
    if watched.told_at.is_none_or(|at| now >= at + EVERY) {
        watched.told_at = Some(now);
        watched.tell_good = true;
        out.push(Output::Report(node.clone(), NodeReport { service: watched.service.clone(), met }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeId {
        NodeId::parse("n1").unwrap()
    }

    fn run() -> ServiceId {
        ServiceId::parse("run1").unwrap()
    }

    fn met(met: Met) -> Input {
        Input::Met { node: node(), service: run(), met }
    }

    fn probed(met: Met) -> Input {
        Input::Probed { node: node(), met }
    }

    fn report(met: Met) -> Output {
        Output::Report(node(), NodeReport { service: run(), met })
    }

    const fn at(ms: u64) -> Mono {
        Mono::from_millis(ms)
    }

    #[test]
    fn the_first_failure_is_told_at_once_and_then_once_a_second_while_it_lasts() {
        let mut witness = Witness::default();
        assert_eq!(witness.handle(at(5), met(Met::Refused)), [report(Met::Refused)]);
        assert_eq!(witness.handle(at(6), met(Met::Refused)), [], "a hundred viewers tell it once");
        assert_eq!(witness.next_at(), Some(at(1005)));
        assert_eq!(witness.handle(at(1005), Input::Timeout), [Output::Probe(node())]);
        assert_eq!((witness.handle(at(1006), Input::Timeout), witness.next_at()), (vec![], None), "one at a time");
        assert_eq!(witness.handle(at(1010), probed(Met::Silent)), [report(Met::Silent)]);
        assert_eq!(witness.handle(at(2010), Input::Timeout), [Output::Probe(node())]);
        assert_eq!(witness.handle(at(2011), probed(Met::Answered)), [report(Met::Answered)]);
        assert_eq!(witness.handle(at(2012), met(Met::Answered)), [], "and told once");
        assert_eq!(witness.next_at(), None);
    }

    #[test]
    fn a_node_that_somebody_misses_is_looked_at_once_and_that_is_told() {
        let mut witness = Witness::default();
        let look = |tell| Input::Look { node: node(), service: run(), tell };
        assert_eq!(witness.handle(at(0), look(true)), [Output::Probe(node())]);
        assert_eq!(witness.handle(at(1), look(true)), []);
        assert_eq!(witness.handle(at(2), probed(Met::Answered)), [report(Met::Answered)]);
        assert_eq!(witness.handle(at(3), look(true)), [Output::Probe(node())]);
        assert_eq!(witness.handle(at(4), probed(Met::Refused)), [report(Met::Refused)]);
        assert_eq!(witness.handle(at(5), Input::Over(node())), []);
        assert_eq!((witness.next_at(), witness.handle(at(6), probed(Met::Refused))), (None, vec![]));
        witness.handle(at(7), look(false));
        assert_eq!(witness.handle(at(8), probed(Met::Answered)), [], "a doubt of our own that came to nothing");
    }

    #[test]
    fn another_run_is_told_under_the_one_that_is_gone() {
        let mut witness = Witness::default();
        assert_eq!(witness.handle(at(0), met(Met::OtherRun)), [report(Met::OtherRun)]);
        witness.handle(at(1), met(Met::Refused));
        witness.handle(at(1001), Input::Timeout);
        assert_eq!(witness.handle(at(1002), probed(Met::OtherRun)), [report(Met::OtherRun)]);
        assert_eq!(witness.next_at(), None);
    }

    #[test]
    fn no_more_nodes_are_watched_than_a_ring_has() {
        let mut witness = Witness::default();
        for n in 0..=NODES_MAX {
            let input = Input::Met { node: NodeId::parse(&format!("n{n}")).unwrap(), service: run(), met: Met::Silent };
            assert_eq!(witness.handle(at(0), input).len(), usize::from(n < NODES_MAX));
        }
    }
}
