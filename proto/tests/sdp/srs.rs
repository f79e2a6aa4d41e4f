//! SRS 5.0.216's way of reading an offer (`srs_app_rtc_sdp.cpp`, `SrsSdp::parse`; `srs_app_rtc_api.cpp`, `check_remote_sdp`), with the
//! places where it ends the process instead of refusing.

use proto::session::Role;
use std::collections::BTreeSet;

/// What SRS does with a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Srs {
    /// Goes on to negotiate codecs.
    Reads,
    /// Closes the connection.
    Refuses(String),
    /// Reads past the end of something.
    Dies(String),
}

/// `istream >> int`: skips spaces, reads digits, leaves the rest.
fn number(text: &str) -> Option<(u64, &str)> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    digits.parse().ok().map(|number| (number, rest))
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[derive(Default)]
struct Section {
    formats: BTreeSet<u64>,
    extensions: BTreeSet<u64>,
    mux: bool,
    refused_direction: bool,
}

impl Section {
    fn attribute(&mut self, name: &str, value: &str, role: Role) -> Option<Srs> {
        let refuses = || Some(Srs::Refuses(format!("{name}:{value}")));
        let dies = || Some(Srs::Dies(format!("{name}:{value}")));
        match name {
            "extmap" => match number(value) {
                Some((id, rest)) if self.extensions.insert(id) && words(rest) > 0 => None,
                _ => refuses(),
            },
            "rtpmap" | "fmtp" | "rtcp-fb" => match number(value) {
                Some((pt, rest)) if self.formats.contains(&pt) => match name {
                    "rtcp-fb" if rest.is_empty() => dies(),
                    "rtcp-fb" => None,
                    "fmtp" if words(rest) > 0 => None,
                    "rtpmap" if rest.split_whitespace().next().is_some_and(|map| map.contains('/')) => None,
                    _ => refuses(),
                },
                _ => refuses(),
            },
            "mid" | "msid" if words(value) == 0 => refuses(),
            "fingerprint" if words(value) < 2 => refuses(),
            "ssrc" => match number(value) {
                None => refuses(),
                Some((_, rest)) if !rest.contains(':') => dies(),
                Some(_) => None,
            },
            "ssrc-group" => match value.split_once(' ') {
                Some((_, sources)) if sources.split(' ').count() > 1 => None,
                _ => dies(),
            },
            "rtcp-mux" => {
                self.mux = true;
                None
            }
            "recvonly" | "sendonly" => {
                self.refused_direction |= (name == "recvonly") == (role == Role::Publish);
                None
            }
            _ => None,
        }
    }
}

/// Reads an offer as SRS does.
pub(crate) fn reads(text: &str, role: Role) -> Srs {
    let mut sections: Vec<Section> = Vec::new();
    let mut policy = String::new();
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        let refuses = || Srs::Refuses(line.to_owned());
        if line.len() < 2 || line.as_bytes()[1] != b'=' {
            return refuses();
        }
        let line = line.strip_suffix('\r').unwrap_or(line).trim_end_matches(' ');
        let (letter, value) = line.split_at(2);
        let fits = match letter {
            "o=" => words(value) >= 6,
            "v=" => words(value) >= 1,
            "t=" => number(value).and_then(|(_, rest)| number(rest)).is_some(),
            "y=" => return Srs::Dies(line.to_owned()),
            "m=" => {
                let mut fields = value.split_whitespace();
                let (media, port, protocol) = (fields.next(), fields.next(), fields.next());
                let formats = fields.map_while(|format| number(format).map(|(pt, _)| pt)).collect();
                sections.push(Section { formats, ..Section::default() });
                matches!(media, Some("audio" | "video")) && port.and_then(number).is_some() && protocol.is_some()
            }
            "a=" => {
                let (name, value) = value.split_once(':').unwrap_or((value, ""));
                match (sections.last_mut(), name) {
                    (Some(section), _) => match section.attribute(name, value, role) {
                        Some(end) => return end,
                        None => true,
                    },
                    (None, "group") if value.starts_with("LS") => true,
                    (None, "group") => {
                        policy = value.split_whitespace().next().unwrap_or_default().to_owned();
                        !policy.is_empty()
                    }
                    (None, "msid-semantic") => words(value) >= 1,
                    (None, "fingerprint") => words(value) >= 2,
                    (None, _) => true,
                }
            }
            _ => true,
        };
        if !fits {
            return refuses();
        }
    }
    let bundled = policy == "BUNDLE" && !sections.is_empty();
    match sections.iter().all(|section| section.mux && !section.refused_direction) && bundled {
        true => Srs::Reads,
        false => Srs::Refuses("check_remote_sdp".to_owned()),
    }
}

#[test]
fn the_model_agrees_with_what_srs_was_seen_to_do() {
    let with = |line: &str| {
        let edits = [("a=ssrc:1000 cname:cn", &*format!("a=ssrc:1000 cname:cn\r\n{line}"))];
        reads(&String::from_utf8(super::edited("rules/pub.sdp", &edits)).unwrap(), Role::Publish)
    };
    // The process ended with std::out_of_range.
    assert!(matches!(with("a=ssrc:1000 foo"), Srs::Dies(_)));
    assert!(matches!(with("a=rtcp-fb:111"), Srs::Dies(_)));
    // The connection was closed.
    assert!(matches!(with("a=rtcp-fb:* nack"), Srs::Refuses(_)));
    for name in ["pub-nobundle", "pub-nomux", "pub-recvonly", "play-dc"] {
        let text = String::from_utf8(super::vector(&format!("rules/{name}.sdp"))).unwrap();
        assert!(matches!(reads(&text, Role::Publish), Srs::Refuses(_)), "{name}");
    }
    assert_eq!(with("a=x"), Srs::Reads);
}
