//! The offer as SRS is given it.

use super::{
    attribute, check,
    offer::Offer,
    text::{Block, Description, Section},
};
use std::collections::BTreeSet;

/// Codecs that SRS half answers: it keeps `red` and drops what repairs it, and then nobody sees a picture.
const REPAIR_CODECS: [&str; 4] = ["red", "ulpfec", "flexfec", "flexfec-03"];

/// Attributes of the shared transport that each section is given if it inherits them: SRS looks for `setup` and `rtcp-mux` in sections
/// only, and a `bundle-only` section has none of its own.
const TRANSPORT: [&str; 4] = ["ice-ufrag", "ice-pwd", "fingerprint", "setup"];

pub(super) fn write(offer: &Offer) -> Description {
    let sections = offer.media().map(|(index, part)| section(offer, index, part)).collect();
    Description { session: session(offer), sections }
}

fn session(offer: &Offer) -> Block {
    let mids: BTreeSet<&str> = offer.media().filter_map(|(_, part)| part.mid()).collect();
    let mut bundled = false;
    let mut lines = Vec::with_capacity(offer.text.session.lines.len());
    for line in &offer.text.session.lines {
        match attribute::of(line) {
            Some(("group", value)) if value.starts_with("LS") => lines.push(line.clone()),
            // SRS takes the last group's word for the policy of them all.
            Some(("group", value)) => {
                let mut words = value.split_ascii_whitespace();
                if words.next() == Some("BUNDLE") && !std::mem::replace(&mut bundled, true) {
                    let present: Vec<&str> = words.filter(|mid| mids.contains(mid)).collect();
                    lines.push(format!("a=group:BUNDLE {}", present.join(" ")));
                }
            }
            // SRS prefers the session's credentials to a section's; the specifications have it the other way round.
            Some(("ice-ufrag", value)) if value != offer.ufrag() => {}
            Some(("ice-pwd", value)) if value != offer.password() => {}
            Some(("msid-semantic", "")) => {}
            Some(_) | None => lines.push(line.clone()),
        }
    }
    Block { lines }
}

fn section(offer: &Offer, index: usize, part: &Section) -> Section {
    let removed = removed(part);
    let served: Vec<&str> = check::served(part, offer.role()).collect();
    // One that is mapped twice may be both; a section without formats is none.
    let stays = |pt: &str| !removed.contains(pt) || served.contains(&pt);
    let formats: Vec<String> = part.formats.iter().filter(|pt| stays(pt)).cloned().collect();
    let mut lines = Vec::with_capacity(part.block.lines.len());
    for line in &part.block.lines {
        match attribute::of(line) {
            Some((name @ ("rtpmap" | "fmtp" | "rtcp-fb"), value)) => {
                let (pt, rest) = value.split_once(' ').unwrap_or((value, ""));
                if name == "rtcp-fb" && pt == "*" {
                    lines.extend(served.iter().map(|pt| format!("a=rtcp-fb:{pt} {}", rest.trim_matches(' '))));
                } else if formats.iter().any(|format| format == pt) {
                    lines.push(format_line(line, name, pt, rest, &served));
                }
            }
            // Without a value it names nothing SRS knows, and SRS reads past its end.
            Some(("ssrc", value)) if attribute::source(value).is_some_and(|(_, _, value)| value.is_none()) => {}
            Some(("ssrc-group", value)) if value.starts_with("FEC") => {}
            Some(_) | None => lines.push(line.clone()),
        }
    }
    let mut whole = Section { formats, block: Block { lines }, ..part.clone() };
    complete(offer, index, part, &mut whole.block);
    whole
}

/// A line about a payload type SRS can choose, written as SRS reads it: it knows codec names in lower or upper case only, and an `fmtp`
/// only up to its first space.
fn format_line(line: &str, name: &str, pt: &str, rest: &str, served: &[&str]) -> String {
    if !served.contains(&pt) {
        return line.to_owned();
    }
    match (name, attribute::rtpmap(&format!("{pt} {rest}"))) {
        ("rtpmap", Some(map)) if map.codec.eq_ignore_ascii_case("opus") => format!("a=rtpmap:{pt} opus{}", map.rest),
        ("rtpmap", Some(map)) => format!("a=rtpmap:{pt} {}{}", map.codec.to_ascii_uppercase(), map.rest),
        ("fmtp", _) => {
            let parameters: Vec<&str> = rest.split(';').map(str::trim).filter(|p| !p.is_empty()).collect();
            format!("a=fmtp:{pt} {}", parameters.join(";"))
        }
        (_, _) => line.to_owned(),
    }
}

/// Payload types to leave out: repair codecs, and retransmission of a payload type that is left out, not there, or retransmission itself.
fn removed(part: &Section) -> BTreeSet<&str> {
    let maps =
        || part.block.attributes("rtpmap").filter_map(|v| Some((v.split_once(' ')?.0, attribute::rtpmap(v)?.codec)));
    let is = |codec: &str, name: &str| codec.eq_ignore_ascii_case(name);
    let mut removed: BTreeSet<&str> =
        maps().filter(|(_, codec)| REPAIR_CODECS.iter().any(|name| is(codec, name))).map(|(pt, _)| pt).collect();
    let repaired = |pt: &str| {
        let mut all = part.block.attributes("fmtp").filter_map(attribute::format_and_rest);
        all.find(|(format, _)| *format == pt).and_then(|(_, parameters)| attribute::parameter(parameters, "apt"))
    };
    let repeats: BTreeSet<&str> = maps().filter(|(_, codec)| is(codec, "rtx")).map(|(pt, _)| pt).collect();
    let kept = |removed: &BTreeSet<&str>, pt: &str| {
        part.formats.iter().any(|format| format == pt) && !removed.contains(pt) && !repeats.contains(pt)
    };
    let orphans: Vec<&str> =
        repeats.iter().copied().filter(|pt| !repaired(pt).is_some_and(|apt| kept(&removed, apt))).collect();
    removed.extend(orphans);
    removed
}

/// Adds what SRS looks for in the section itself.
fn complete(offer: &Offer, index: usize, part: &Section, block: &mut Block) {
    for name in TRANSPORT {
        if let (false, Some(value)) = (block.has(name), check::transport(&offer.text, part, name)) {
            block.lines.push(format!("a={name}:{value}"));
        }
    }
    if !block.has("rtcp-mux") {
        block.lines.push("a=rtcp-mux".to_owned());
    }
    // SRS makes a track of a source only if it has a track name.
    if check::source_tracks(part).into_values().any(|track| track.is_none()) {
        let stream =
            block.attribute("msid").map_or("-", |msid| msid.split_ascii_whitespace().next().unwrap_or("-")).to_owned();
        block.lines.retain(|line| attribute::of(line).is_none_or(|(name, _)| name != "msid"));
        block.lines.push(format!("a=msid:{stream} track{index}"));
    }
}
