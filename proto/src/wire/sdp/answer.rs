//! A media node's answer, mended for the client.

use super::{
    ANSWER_BYTES_MAX, CANDIDATES_MAX, attribute,
    candidates::{self, Candidates},
    check::{DIRECTIONS, Fate},
    error::AnswerError,
    offer::{Offer, Setup},
    text::{Block, Description, Section},
};
use crate::session::Role;
use std::collections::BTreeMap;

/// What the edge decides about an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerOptions {
    /// Where the client sends its packets.
    pub candidates: Candidates,
    /// The one media stream all sections belong to: a word; the stream's id does.
    pub msid: String,
}

/// An answer as the node gave it.
#[derive(Clone)]
pub struct Answer {
    text: Description,
    transport: Transport,
}

/// What all sections of a bundle share.
#[derive(Clone)]
struct Transport {
    ufrag: String,
    password: String,
    fingerprints: Vec<String>,
    setup: Setup,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("sections", &self.text.sections.len()).finish_non_exhaustive()
    }
}

/// Attributes of a section that are written anew, and those of simulcast, which a node that answers half of it would spoil.
const REWRITTEN: [&str; 13] = [
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "fingerprint",
    "setup",
    "mid",
    "msid",
    "rtcp-mux",
    "rtcp-mux-only",
    "candidate",
    "end-of-candidates",
    "simulcast",
    "rid",
];

/// Attributes of the session part that are written anew; those of [`REWRITTEN`] are not wanted there either.
const REWRITTEN_SESSION: [&str; 3] = ["ice-lite", "group", "msid-semantic"];

impl Answer {
    /// Reads a node's answer.
    ///
    /// # Errors
    /// It is no description, has no section, or lacks what a client needs of ICE and DTLS.
    pub fn read(bytes: &[u8]) -> Result<Self, AnswerError> {
        let text = Description::parse(bytes)?;
        let mut live = text.sections.iter().filter(|part| !part.is_off());
        let first = live.next().ok_or(AnswerError::NoMedia)?;
        let ufrag = text.inherited(first, "ice-ufrag").filter(|v| attribute::is_ufrag(v)).ok_or(AnswerError::Ice)?;
        let password =
            text.inherited(first, "ice-pwd").filter(|v| attribute::is_password(v)).ok_or(AnswerError::Ice)?;
        if live.any(|part| text.inherited(part, "ice-ufrag").is_some_and(|other| other != ufrag)) {
            return Err(AnswerError::Ice);
        }
        let block = if first.block.has("fingerprint") { &first.block } else { &text.session };
        let fingerprints: Vec<String> = block.attributes("fingerprint").map(str::to_owned).collect();
        if fingerprints.is_empty() || !fingerprints.iter().all(|v| attribute::is_fingerprint(v)) {
            return Err(AnswerError::NoFingerprint);
        }
        let setup = match text.inherited(first, "setup") {
            Some("active") => Setup::Active,
            Some("passive") => Setup::Passive,
            Some(_) | None => return Err(AnswerError::Setup),
        };
        let transport = Transport { ufrag: ufrag.to_owned(), password: password.to_owned(), fingerprints, setup };
        Ok(Self { transport, text })
    }

    /// The node's ICE ufrag: the first half of the session's STUN username.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        &self.transport.ufrag
    }

    /// The node's ICE password, the key of STUN message integrity: a secret.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.transport.password
    }

    /// Checks that the node took the ufrag it was asked to take.
    ///
    /// # Errors
    /// [`AnswerError::UfragChanged`]: SRS draws another when `ours:theirs` is taken. Delete its session and ask again.
    pub fn check_ufrag(&self, asked: &str) -> Result<(), AnswerError> {
        if self.ufrag() == asked { Ok(()) } else { Err(AnswerError::UfragChanged) }
    }

    /// Writes the answer the client gets.
    ///
    /// Sections stand in the offer's order. A medium that a player asked for and the node left out becomes `inactive` on the shared
    /// transport (a rejected one would end the bundle in several clients); data channels and sections that were off are rejected.
    ///
    /// # Errors
    /// The answer does not fit the offer, or no client could use it. Delete the node's session.
    pub fn repair(&self, offer: &Offer, options: &AnswerOptions) -> Result<String, AnswerError> {
        if !attribute::is_word(&options.msid) {
            return Err(AnswerError::Msid);
        }
        let fits = matches!(
            (offer.setup(), self.transport.setup),
            (Setup::ActPass, _) | (Setup::Active, Setup::Passive) | (Setup::Passive, Setup::Active)
        );
        if !fits {
            return Err(AnswerError::Setup);
        }
        let answered = self.by_mid(offer)?;
        if answered.is_empty() {
            return Err(AnswerError::NoMedia);
        }
        let candidates = self.candidates(&options.candidates)?;
        let everywhere = self.build(offer, options, &answered, &candidates, usize::MAX)?;
        if everywhere.len() <= ANSWER_BYTES_MAX {
            return Ok(everywhere);
        }
        // In a bundle the first section's candidates are everyone's (RFC 8843 section 7.1.3).
        let once = self.build(offer, options, &answered, &candidates, 1)?;
        let got = once.len();
        if got <= ANSWER_BYTES_MAX { Ok(once) } else { Err(AnswerError::TooLong { got, limit: ANSWER_BYTES_MAX }) }
    }

    /// The answer's sections by their place in the offer.
    fn by_mid(&self, offer: &Offer) -> Result<BTreeMap<usize, (usize, &Section)>, AnswerError> {
        let mut found = BTreeMap::new();
        for (section, part) in self.text.sections.iter().enumerate().filter(|(_, part)| !part.is_off()) {
            let mut media = offer.media();
            let (place, _) = media
                .find(|(_, offered)| offered.mid() == part.mid() && offered.media == part.media)
                .ok_or(AnswerError::Section { section })?;
            if found.insert(place, (section, part)).is_some() {
                return Err(AnswerError::Section { section });
            }
        }
        Ok(found)
    }

    /// `a=candidate` lines, an IPv4 UDP host first: `FFmpeg` uses no other.
    fn candidates(&self, wanted: &Candidates) -> Result<Vec<String>, AnswerError> {
        let mut ranked: Vec<(u8, String)> = match wanted {
            Candidates::Keep => {
                let with = self.text.sections.iter().find(|part| part.block.has("candidate"));
                let values = with.into_iter().flat_map(|part| part.block.attributes("candidate"));
                let usable = values.filter_map(|value| Some((rank(&attribute::candidate(value)?), value)));
                usable.map(|(rank, value)| (rank, format!("a=candidate:{value}"))).collect()
            }
            Candidates::Replace(hosts) => return candidates::lines(hosts),
        };
        if ranked.is_empty() || ranked.len() > CANDIDATES_MAX {
            return Err(AnswerError::Candidates);
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        Ok(ranked.into_iter().map(|(_, line)| line).collect())
    }

    fn build(
        &self,
        offer: &Offer,
        options: &AnswerOptions,
        answered: &BTreeMap<usize, (usize, &Section)>,
        candidates: &[String],
        repeat: usize,
    ) -> Result<String, AnswerError> {
        let mut sections = Vec::with_capacity(offer.text.sections.len());
        let mut bundle = String::from("a=group:BUNDLE");
        let mut with_candidates = 0_usize;
        for (place, (offered, fate)) in offer.text.sections.iter().zip(&offer.fates).enumerate() {
            let mut section = match (fate, answered.get(&place)) {
                (Fate::Media, Some((at, part))) => self.mend(offer, *at, (place, offered), part, &options.msid)?,
                (Fate::Media, None) if offer.role() == Role::Publish => {
                    return Err(AnswerError::Dropped { section: place });
                }
                (Fate::Media, None) => self.inactive((place, offered), &options.msid),
                (Fate::Data | Fate::Off, _) => {
                    sections.push(self.rejected(offered));
                    continue;
                }
            };
            bundle.push(' ');
            bundle.push_str(offered.mid().unwrap_or_default());
            if with_candidates < repeat {
                section.block.lines.extend_from_slice(candidates);
                section.block.lines.push("a=end-of-candidates".to_owned());
                with_candidates = with_candidates.saturating_add(1);
            }
            sections.push(section);
        }
        let session = self.session(bundle, &options.msid);
        Ok(Description { session, sections }.write())
    }

    /// The session part. SRS writes its version and an address in its memory into `o=`, which are nobody's business.
    fn session(&self, bundle: String, msid: &str) -> Block {
        let id = self
            .ufrag()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut lines = vec!["v=0".to_owned(), format!("o=- {} 2 IN IP4 0.0.0.0", id >> 2), "s=-".to_owned()];
        let (attributes, plain): (Vec<&String>, Vec<&String>) =
            self.text.session.lines.iter().partition(|line| line.starts_with("a="));
        let own = |line: &&&String| !["v=", "o=", "s="].iter().any(|start| line.starts_with(start));
        lines.extend(plain.iter().filter(own).map(|line| (*line).clone()));
        if !self.text.session.lines.iter().any(|line| line.starts_with("t=")) {
            lines.push("t=0 0".to_owned());
        }
        lines.extend(["a=ice-lite".to_owned(), "a=ice-options:trickle ice2".to_owned(), bundle]);
        lines.push(format!("a=msid-semantic: WMS {msid}"));
        let kept = |line: &&String| {
            attribute::of(line).is_some_and(|(name, _)| !REWRITTEN_SESSION.contains(&name) && !is_rewritten(name))
        };
        lines.extend(attributes.into_iter().filter(kept).cloned());
        Block { lines }
    }

    /// The lines every section on the shared transport begins with.
    fn shared(&self, mid: Option<&str>, direction: &str) -> Vec<String> {
        let transport = &self.transport;
        let mut lines = vec![
            "c=IN IP4 0.0.0.0".to_owned(),
            format!("a=ice-ufrag:{}", transport.ufrag),
            format!("a=ice-pwd:{}", transport.password),
        ];
        lines.extend(transport.fingerprints.iter().map(|value| format!("a=fingerprint:{value}")));
        lines.push(format!("a=setup:{}", if transport.setup == Setup::Active { "active" } else { "passive" }));
        lines.extend(mid.map(|mid| format!("a=mid:{mid}")));
        lines.push(format!("a={direction}"));
        lines.extend(["a=rtcp-mux".to_owned(), "a=rtcp-mux-only".to_owned()]);
        lines
    }

    fn mend(
        &self,
        offer: &Offer,
        at: usize,
        (place, offered): (usize, &Section),
        part: &Section,
        msid: &str,
    ) -> Result<Section, AnswerError> {
        let formats: Vec<String> = part.formats.iter().filter(|pt| offered.formats.contains(pt)).cloned().collect();
        if formats.is_empty() {
            return Err(AnswerError::Codec { section: at });
        }
        let named = |block: &Block| DIRECTIONS.into_iter().find(|name| block.has(name));
        let said = named(&part.block).or_else(|| named(&self.text.session)).unwrap_or("sendrecv");
        let direction = match (offer.role(), said) {
            (Role::Publish, "recvonly" | "sendrecv") => "recvonly",
            (Role::Play, "sendonly" | "sendrecv") => "sendonly",
            (Role::Play, "inactive") => "inactive",
            (Role::Publish | Role::Play, _) => return Err(AnswerError::Direction { section: at }),
        };
        let track = format!("{msid} {}{place}", offered.media);
        let mut lines = self.shared(offered.mid(), direction);
        if offer.role() == Role::Play {
            lines.push(format!("a=msid:{track}"));
        }
        for line in part.block.lines.iter().filter(|line| !line.starts_with("c=")) {
            match attribute::of(line) {
                Some((name, _)) if is_rewritten(name) => {}
                Some(("rtpmap" | "fmtp" | "rtcp-fb", value)) => {
                    let pt = value.split(' ').next().unwrap_or_default();
                    if pt == "*" || formats.iter().any(|format| format == pt) {
                        lines.push(line.clone());
                    }
                }
                Some(("ssrc", value)) => match attribute::source(value) {
                    Some((number, "msid", _)) => lines.push(format!("a=ssrc:{number} msid:{track}")),
                    Some((_, "mslabel" | "label", _)) => {}
                    Some(_) | None => lines.push(line.clone()),
                },
                Some(_) | None => lines.push(line.clone()),
            }
        }
        Ok(Section { formats, block: Block { lines }, port: 9, ..offered.clone() })
    }

    /// A section for a medium the stream does not have.
    fn inactive(&self, (place, offered): (usize, &Section), msid: &str) -> Section {
        let mut lines = self.shared(offered.mid(), "inactive");
        lines.push(format!("a=msid:{msid} {}{place}", offered.media));
        let first = offered.formats.first().cloned().unwrap_or_default();
        for name in ["rtpmap", "fmtp"] {
            let mut values = offered.block.attributes(name);
            let own = values.find(|value| value.split(' ').next() == Some(first.as_str()));
            lines.extend(own.map(|value| format!("a={name}:{value}")));
        }
        Section { formats: vec![first], block: Block { lines }, port: 9, ..offered.clone() }
    }

    /// A rejected section. It has the transport's lines all the same: aiortc refuses an answer with a section that lacks them.
    fn rejected(&self, offered: &Section) -> Section {
        let mut lines = self.shared(offered.mid(), "inactive");
        if offered.is_data() {
            lines.retain(|line| !line.starts_with("a=rtcp-mux"));
        }
        Section { block: Block { lines }, port: 0, ..offered.clone() }
    }
}

fn is_rewritten(name: &str) -> bool {
    REWRITTEN.contains(&name) || DIRECTIONS.contains(&name)
}

fn rank(candidate: &attribute::Candidate<'_>) -> u8 {
    match candidate.socket() {
        Some(to) if candidate.udp && candidate.host && to.is_ipv4() => 0,
        Some(_) if candidate.udp => 1,
        Some(_) | None => 2,
    }
}
