//! One node: what the cluster says of it, and what this edge met.

use super::{Change, Endpoints};
use crate::config::Upstream;
use placement::{Limits, Member, State, Weight, Zone};
use proto::{
    NodeId, ServiceId,
    node::{Member as Told, NodeAddresses, NodeState, parse_endpoint},
};
use std::sync::Arc;
use url::Url;

/// What this edge met at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    Nothing,
    Answers,
    Fails,
}

/// One node.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// `None`: its enrolment has no address that can be used.
    pub(super) api: Option<Url>,
    pub(super) endpoints: Endpoints,
    weight: Weight,
    zone: Option<Zone>,
    limits: Limits,
    pub(super) service: Option<ServiceId>,
    /// What the membership said last; `None`: only `SRS_UPSTREAM` names it.
    pub(super) told: Option<Told>,
    /// `SRS_UPSTREAM` names it, and stands above the membership for address, weight and zone.
    pub(super) fixed: bool,
    pub(super) own: Own,
    pub(super) silences: u32,
}

impl Node {
    /// One of `SRS_UPSTREAM`.
    pub(super) fn fixed(upstream: &Upstream) -> Self {
        Self {
            api: Some(upstream.api.clone()),
            endpoints: fixed_endpoints(upstream),
            weight: Weight::new(upstream.weight.into()).unwrap_or(Weight::ONE),
            zone: upstream.zone.as_deref().map(|name| Zone(name.into())),
            limits: Limits::default(),
            service: None,
            told: None,
            fixed: true,
            own: Own::Nothing,
            silences: 0,
        }
    }

    /// The same, with what the membership said.
    pub(super) fn with(self, told: Option<Told>) -> Self {
        Self { told, ..self }
    }

    /// One that only the membership names, and says the rest of.
    pub(super) const fn member_of_cluster() -> Self {
        Self {
            api: None,
            endpoints: Endpoints { http: None, rtmp: None, srt: None, rtc: None, srt_encrypted: false },
            weight: Weight::ONE,
            zone: None,
            limits: Limits { streams: None, clients: None, bandwidth_kbps: None },
            service: None,
            told: None,
            fixed: false,
            own: Own::Nothing,
            silences: 0,
        }
    }

    /// The state the cluster gives it; `None` for a node only `SRS_UPSTREAM` names.
    pub(super) fn told(&self) -> Option<State> {
        self.told.as_ref().map(|told| match told.state {
            NodeState::Up | NodeState::Suspect if told.draining => State::Draining,
            NodeState::Joining => State::Joining,
            NodeState::Up => State::Up,
            NodeState::Suspect => State::Suspect,
            NodeState::Down => State::Down,
        })
    }

    /// Whether this edge's own experience is against it. A node of the setting has to answer first; a member is believed in until it fails.
    pub(super) fn fails(&self) -> bool {
        match self.own {
            Own::Nothing => self.fixed,
            Own::Answers => false,
            Own::Fails => true,
        }
    }

    /// Its state on the ring.
    pub(super) fn state(&self) -> State {
        if self.fails() { State::Down } else { self.told().unwrap_or(State::Up) }
    }

    /// The cluster says that it is gone.
    pub(super) fn lost(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.state == NodeState::Down)
    }

    fn trust(&mut self) {
        self.own = Own::Nothing;
        self.silences = 0;
    }

    /// Takes what the membership says and tells what that changed.
    pub(super) fn learn(&mut self, told: &Told) -> Option<Change> {
        let before = self.told.replace(told.clone());
        self.limits = Limits {
            streams: told.limits.streams,
            clients: told.limits.clients,
            bandwidth_kbps: told.limits.bandwidth_kbps,
        };
        if !self.fixed {
            self.api = api(&told.at.api);
            self.endpoints = endpoints(&told.at);
            self.weight = Weight::new(told.weight.into()).unwrap_or(Weight::ONE);
            self.zone = told.zone.as_deref().map(|name| Zone(name.into()));
        }
        let was = before.as_ref().map(|before| before.state);
        // Only what the membership changed is news: this edge may have met a newer run itself.
        let run = told.service.as_ref().filter(|run| before.as_ref().and_then(|b| b.service.as_ref()) != Some(*run));
        let restarted = run.filter(|run| self.service.as_ref().is_some_and(|old| old != *run)).cloned();
        if let Some(run) = run {
            self.service = Some(run.clone());
        }
        let back = was == Some(NodeState::Down) && told.state != NodeState::Down;
        // One of the setting has to answer first, and is asked for it again only while nothing stands against it.
        if (restarted.is_some() || back) && (!self.fixed || self.own == Own::Fails) {
            self.trust();
        }
        if told.state == NodeState::Down && was != Some(NodeState::Down) {
            return Some(Change::Lost(told.id.clone()));
        }
        if let Some(run) = restarted {
            return Some(Change::Restarted(told.id.clone(), run));
        }
        let suspect = told.state == NodeState::Suspect && was != Some(NodeState::Suspect);
        suspect.then(|| Change::Suspect(told.id.clone()))
    }

    /// As the ring has it.
    pub(super) fn member(&self, id: &NodeId) -> Member {
        Member {
            weight: self.weight,
            zone: self.zone.clone(),
            limits: self.limits,
            state: self.state(),
            ..Member::new(id.clone())
        }
    }
}

/// As the membership says.
fn endpoints(at: &NodeAddresses) -> Endpoints {
    let one = |text: &Option<String>| text.as_deref().filter(|text| parse_endpoint(text).is_some()).map(Arc::from);
    Endpoints {
        http: one(&at.http),
        rtmp: one(&at.rtmp),
        srt: one(&at.srt),
        rtc: one(&at.rtc),
        srt_encrypted: at.srt_encrypted,
    }
}

/// As `SRS_UPSTREAM` says; what it leaves out is where SRS has it by itself, beside its API.
fn fixed_endpoints(upstream: &Upstream) -> Endpoints {
    let one = |name: &str, port: u16| {
        let host = upstream.api.host_str()?;
        let said = upstream.endpoints.get(name).map(String::as_str);
        let text = match said {
            Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => format!("{host}:{text}"),
            Some(text) => text.to_owned(),
            None => format!("{host}:{port}"),
        };
        parse_endpoint(&text).is_some().then(|| text.into())
    };
    Endpoints {
        http: one("http", 8080),
        rtmp: one("rtmp", 1935),
        srt: one("srt", 10080),
        rtc: one("rtc", 8000),
        srt_encrypted: upstream.srt_encrypted,
    }
}

fn api(endpoint: &str) -> Option<Url> {
    parse_endpoint(endpoint)?;
    format!("http://{endpoint}").parse().ok()
}
