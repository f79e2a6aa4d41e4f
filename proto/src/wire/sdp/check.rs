//! The rules an offer must keep. They are those of RFC 9725 section 4.4 and of the WHEP draft, and what SRS 5.0.216 can serve
//! (`srs_app_rtc_api.cpp`, `check_remote_sdp`; `srs_app_rtc_conn.cpp`, `negotiate_publish_capability` and `negotiate_play_capability`).

use super::{
    MID_BYTES_MAX, WILDCARDS_MAX, attribute,
    error::SdpError,
    offer::Setup,
    text::{Block, Description, Section},
};
use crate::session::Role;
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Audio or video: goes to SRS.
    Media,
    /// A data channel, which SRS would close the connection for: kept from it, rejected in the answer.
    Data,
    /// Switched off by the client: kept from SRS, rejected in the answer.
    Off,
}

/// Decides what becomes of each section.
pub(super) fn fates(text: &Description) -> Result<Vec<Fate>, SdpError> {
    let fate = |(section, part): (usize, &Section)| match () {
        () if part.is_off() => Ok(Fate::Off),
        () if part.is_data() => Ok(Fate::Data),
        () if part.is_audio() || part.is_video() => Ok(Fate::Media),
        () => Err(SdpError::MediaKind { section }),
    };
    let fates: Vec<Fate> = text.sections.iter().enumerate().map(fate).collect::<Result<_, _>>()?;
    if fates.contains(&Fate::Media) { Ok(fates) } else { Err(SdpError::NoMedia) }
}

/// The `mid`s of the first BUNDLE group.
pub(super) fn bundle(text: &Description) -> Option<impl Iterator<Item = &str>> {
    let groups = text.session.attributes("group").map(str::split_ascii_whitespace);
    groups.map(|mut words| (words.next(), words)).find(|(kind, _)| *kind == Some("BUNDLE")).map(|(_, mids)| mids)
}

/// The value of a transport attribute: the section's, the session's, or for a `bundle-only` section the one of the section whose
/// transport it shares (RFC 8843 section 7.1.3: it leaves them out).
pub(super) fn transport<'a>(text: &'a Description, part: &'a Section, name: &'a str) -> Option<&'a str> {
    let tagged = || {
        let tag = bundle(text)?.next()?;
        let shared = text.sections.iter().find(|s| s.mid() == Some(tag))?;
        part.block.has("bundle-only").then(|| shared.block.attribute(name)).flatten()
    };
    text.inherited(part, name).or_else(tagged)
}

/// Checks all that holds for one offer as a whole and for each media section.
pub(super) fn all(text: &Description, fates: &[Fate], role: Role) -> Result<(), SdpError> {
    session(&text.session)?;
    let media = || text.sections.iter().zip(fates).enumerate().filter(|(_, (_, fate))| **fate == Fate::Media);
    for (section, (part, _)) in media() {
        grammar(section, &part.block)?;
        protocol(section, part)?;
        direction(text, section, part, role)?;
    }
    let bundled: BTreeSet<&str> = bundle(text).ok_or(SdpError::NoBundle)?.collect();
    let mut mids = BTreeSet::new();
    for (section, (part, _)) in media() {
        let mid = part.mid().ok_or(SdpError::NoMid { section })?;
        if !mids.insert(mid) {
            return Err(SdpError::SameMid { section });
        }
        if !bundled.contains(mid) {
            return Err(SdpError::NotBundled { section });
        }
        security(text, section, part)?;
        if served(part, role).next().is_none() {
            let wanted =
                if part.is_audio() { "opus" } else { "H264 with packetization-mode=1 and level-asymmetry-allowed=1" };
            return Err(SdpError::Codec { section, wanted });
        }
    }
    match role {
        Role::Publish => tracks(media().map(|(section, (part, _))| (section, part))),
        Role::Play => Ok(()),
    }
}

fn wrong(section: Option<usize>, name: &'static str) -> SdpError {
    SdpError::Attribute { section, name }
}

fn session(block: &Block) -> Result<(), SdpError> {
    let fits = block.attributes("fingerprint").all(attribute::is_fingerprint);
    if fits { Ok(()) } else { Err(wrong(None, "fingerprint")) }
}

/// Refuses lines that SRS fails on, or worse: it reads past the end of `a=ssrc:1 x`, `a=rtcp-fb:96` and `a=ssrc-group:FID 1`.
fn grammar(section: usize, block: &Block) -> Result<(), SdpError> {
    let check = |name: &'static str, fits: fn(&str) -> bool| match block.attributes(name).all(fits) {
        true => Ok(()),
        false => Err(wrong(Some(section), name)),
    };
    let pt =
        |value: &str| attribute::format_and_rest(value).is_some_and(|(pt, _)| attribute::payload_type(pt).is_some());
    let feedback = |value: &str| {
        attribute::format_and_rest(value).is_some_and(|(pt, _)| pt == "*" || attribute::payload_type(pt).is_some())
    };
    check("rtpmap", |value| attribute::rtpmap(value).is_some())?;
    check("fmtp", pt)?;
    check("rtcp-fb", feedback)?;
    check("ssrc", |value| attribute::source(value).is_some())?;
    check("ssrc-group", |value| attribute::source_group(value).is_some())?;
    check("fingerprint", attribute::is_fingerprint)?;
    check("msid", |value| value.split(' ').next().is_some_and(attribute::is_word))?;
    check("mid", |value| attribute::is_token(value) && value.len() <= MID_BYTES_MAX)?;
    if block.attributes("mid").count() > 1 {
        return Err(wrong(Some(section), "mid"));
    }
    if block.attributes("rtcp-fb").filter(|value| value.starts_with('*')).count() > WILDCARDS_MAX {
        return Err(wrong(Some(section), "rtcp-fb"));
    }
    let mut seen = BTreeSet::new();
    let unique = |value| attribute::extension(value).is_some_and(|number| seen.insert(number));
    if block.attributes("extmap").all(unique) { Ok(()) } else { Err(wrong(Some(section), "extmap")) }
}

fn protocol(section: usize, part: &Section) -> Result<(), SdpError> {
    // JSEP (RFC 8829 section 5.1.2) has an answerer take any of these for the same thing.
    const PROTOCOLS: [&str; 5] =
        ["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP", "RTP/SAVPF"];
    if PROTOCOLS.contains(&part.protocol.as_str()) { Ok(()) } else { Err(SdpError::Protocol { section }) }
}

pub(super) const DIRECTIONS: [&str; 4] = ["sendrecv", "sendonly", "recvonly", "inactive"];

fn direction(text: &Description, section: usize, part: &Section, role: Role) -> Result<(), SdpError> {
    let named = |block: &Block| DIRECTIONS.into_iter().filter(|name| block.has(name)).collect::<Vec<_>>();
    let (own, shared) = (named(&part.block), named(&text.session));
    let direction = match (own.as_slice(), shared.as_slice()) {
        ([one], _) | ([], [one]) => *one,
        ([], []) => "sendrecv",
        (_, _) => return Err(wrong(Some(section), "sendrecv")),
    };
    let wanted = match role {
        Role::Publish => "sendonly",
        Role::Play => "recvonly",
    };
    if direction == wanted || direction == "sendrecv" {
        Ok(())
    } else {
        Err(SdpError::Direction { section, direction, wanted })
    }
}

/// Checks BUNDLE's companions: rtcp-mux, ICE, DTLS.
fn security(text: &Description, section: usize, part: &Section) -> Result<(), SdpError> {
    let find = |name| transport(text, part, name);
    if find("rtcp-mux").or_else(|| find("rtcp-mux-only")).is_none() {
        return Err(SdpError::NoRtcpMux { section });
    }
    let (Some(ufrag), Some(password)) = (find("ice-ufrag"), find("ice-pwd")) else {
        return Err(SdpError::NoIce { section });
    };
    if !attribute::is_ufrag(ufrag) {
        return Err(wrong(Some(section), "ice-ufrag"));
    }
    if !attribute::is_password(password) {
        return Err(wrong(Some(section), "ice-pwd"));
    }
    if find("fingerprint").is_none() {
        return Err(SdpError::NoFingerprint { section });
    }
    // One transport carries all sections, so it has one DTLS role.
    let first = text.sections.iter().find(|s| !s.is_off() && !s.is_data());
    let shared = first.and_then(|s| transport(text, s, "setup"));
    match Setup::of_offer(find("setup")) {
        Some(setup) if Some(setup) == Setup::of_offer(shared) => Ok(()),
        Some(_) | None => Err(SdpError::Setup { section }),
    }
}

/// Payload types, as written, that SRS can serve in this section.
///
/// A publisher's H264 is taken without `a=fmtp`, or with all three parameters SRS reads; a player's H264 always.
pub(super) fn served(part: &Section, role: Role) -> impl Iterator<Item = &str> {
    let wanted = if part.is_audio() { "opus" } else { "H264" };
    let maps = part.block.attributes("rtpmap").filter_map(|v| Some((v.split_once(' ')?.0, attribute::rtpmap(v)?)));
    let named = maps.filter(move |(pt, map)| {
        map.codec.eq_ignore_ascii_case(wanted) && part.formats.iter().any(|format| format == pt)
    });
    let fits = move |pt: &str| {
        let mut all = part.block.attributes("fmtp").filter_map(attribute::format_and_rest);
        let Some((_, parameters)) = all.find(|(format, _)| *format == pt) else { return true };
        ["profile-level-id", "packetization-mode", "level-asymmetry-allowed"]
            .into_iter()
            .all(|name| attribute::parameter(parameters, name).is_some())
    };
    let free = part.is_audio() || role == Role::Play;
    named.map(|(pt, _)| pt).filter(move |pt| free || fits(pt))
}

/// Track of each source of a section, as SRS puts it together: the source's own `msid`, else the section's.
pub(super) fn source_tracks(part: &Section) -> BTreeMap<u32, Option<&str>> {
    fn second(msid: &str) -> Option<&str> {
        msid.split_ascii_whitespace().nth(1)
    }
    let own = part.block.attribute("msid").and_then(second);
    let mut tracks = BTreeMap::new();
    // A line without a value is not passed on, so it makes no source either.
    let told = part.block.attributes("ssrc").filter_map(attribute::source).filter(|(_, _, value)| value.is_some());
    for (number, name, value) in told {
        let entry = tracks.entry(number).or_insert(own);
        if let (true, Some(track)) = (name == "msid", value.and_then(second)) {
            *entry = Some(track);
        }
    }
    tracks
}

/// At most one audio and one video track, all of one stream (RFC 9725 section 4.4.2), each with a source.
fn tracks<'a>(media: impl Iterator<Item = (usize, &'a Section)>) -> Result<(), SdpError> {
    let mut kinds = BTreeSet::new();
    let mut streams = BTreeSet::new();
    for (section, part) in media {
        let media = if part.is_audio() { "audio" } else { "video" };
        let tracks: BTreeSet<Option<&str>> = source_tracks(part).into_values().collect();
        if !kinds.insert(media) || tracks.len() > 1 {
            return Err(SdpError::TwoTracks { section, media });
        }
        if tracks.is_empty() {
            return Err(SdpError::NoSource { section });
        }
        let stream = |msid: &'a str| msid.split_ascii_whitespace().next().filter(|id| *id != "-");
        if part.block.has("msid") {
            streams.extend(part.block.attributes("msid").filter_map(stream));
        } else {
            let named =
                part.block.attributes("ssrc").filter_map(attribute::source).filter(|(_, name, _)| *name == "msid");
            streams.extend(named.filter_map(|(_, _, value)| stream(value?)));
        }
    }
    if streams.len() > 1 { Err(SdpError::TwoStreams { got: streams.len() }) } else { Ok(()) }
}
