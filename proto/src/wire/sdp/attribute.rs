//! Grammar of the attributes that matter here. Each function reads one value and gives `None` for anything else.

use super::{PASSWORD_BYTES, UFRAG_BYTES};
use std::net::{IpAddr, SocketAddr};

/// Splits an `a=` line into name and value; a flag's value is empty.
pub(super) fn of(line: &str) -> Option<(&str, &str)> {
    let attribute = line.strip_prefix("a=")?.trim_end_matches(' ');
    Some(attribute.split_once(':').unwrap_or((attribute, "")))
}

/// RFC 8866 `token`, near enough: printable ASCII without separators.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !br#""(),/:;<=>?@[\]"#.contains(&b))
}

/// A word: printable ASCII without spaces.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_ice(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// Whether the text is an ICE ufrag. Nothing outside `ice-char` may pass: SRS puts it into a URL's query unescaped.
pub(super) fn is_ufrag(text: &str) -> bool {
    UFRAG_BYTES.contains(&text.len()) && is_ice(text)
}

/// Whether the text is an ICE password.
pub(super) fn is_password(text: &str) -> bool {
    PASSWORD_BYTES.contains(&text.len()) && is_ice(text)
}

/// `sha-256 AB:CD:..`.
pub(super) fn is_fingerprint(text: &str) -> bool {
    let Some((hash, value)) = text.split_once(' ') else { return false };
    let value = value.trim_matches(' ');
    is_token(hash)
        && value.len() >= "AB:CD:EF:01".len()
        && value.split(':').all(|byte| byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A payload type, 0 to 127, written in decimal.
pub(super) fn payload_type(text: &str) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|pt| *pt < 128)
}

/// `a=rtpmap`.
pub(super) struct RtpMap<'a> {
    pub(super) codec: &'a str,
    /// From the first slash on.
    pub(super) rest: &'a str,
}

pub(super) fn rtpmap(value: &str) -> Option<RtpMap<'_>> {
    let (pt, map) = value.split_once(' ')?;
    let map = map.trim_matches(' ');
    let at = map.find('/')?;
    let (codec, rest) = map.split_at_checked(at)?;
    let clock = rest.trim_start_matches('/').split('/').next()?;
    let fits = payload_type(pt).is_some() && is_token(codec) && clock.parse::<u32>().is_ok() && is_word(rest);
    fits.then_some(RtpMap { codec, rest })
}

/// The `{format} {rest}` of `a=fmtp` and `a=rtcp-fb`; `rest` is never empty.
pub(super) fn format_and_rest(value: &str) -> Option<(&str, &str)> {
    let (format, rest) = value.split_once(' ')?;
    let rest = rest.trim_matches(' ');
    (!format.is_empty() && !rest.is_empty()).then_some((format, rest))
}

/// One parameter of an `a=fmtp`'s `name=value;...`.
pub(super) fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let mut all = parameters.split(';').filter_map(|p| p.trim().split_once('='));
    all.find(|(n, value)| *n == name && !value.is_empty() && !value.contains('=')).map(|(_, value)| value)
}

/// `a=ssrc:{number} {name}[:{value}]`.
pub(super) fn source(value: &str) -> Option<(u32, &str, Option<&str>)> {
    let (number, rest) = value.split_once(' ')?;
    let (name, value) = match rest.split_once(':') {
        Some((name, value)) => (name, Some(value)),
        None => (rest, None),
    };
    is_token(name).then_some((number.parse().ok()?, name, value))
}

/// `a=ssrc-group:{semantics} {number} {number}..`: the semantics, if at least two numbers follow.
pub(super) fn source_group(value: &str) -> Option<&str> {
    let (semantics, sources) = value.split_once(' ')?;
    let numbers = sources.split(' ').all(|number| number.parse::<u32>().is_ok());
    (is_token(semantics) && numbers && sources.contains(' ')).then_some(semantics)
}

/// `a=extmap:{number}[/{direction}] {uri} ..`: the number.
pub(super) fn extension(value: &str) -> Option<u16> {
    let (number, uri) = value.split_once(' ')?;
    let number = number.split_once('/').map_or(number, |(number, _)| number);
    is_word(uri.split(' ').next()?).then(|| number.parse().ok()).flatten()
}

/// `a=candidate`'s value: foundation, component, transport, priority, address, port, `typ`, type, ...
pub(super) struct Candidate<'a> {
    pub(super) udp: bool,
    pub(super) host: bool,
    /// As written: an address, or a name.
    pub(super) address: &'a str,
    pub(super) port: u16,
}

impl Candidate<'_> {
    /// The socket address, if the address is one and not a name.
    pub(super) fn socket(&self) -> Option<SocketAddr> {
        self.address.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }
}

pub(super) fn candidate(value: &str) -> Option<Candidate<'_>> {
    let mut words = value.split_ascii_whitespace();
    let foundation = words.next()?;
    words.next()?.parse::<u16>().ok()?;
    let transport = words.next()?;
    words.next()?.parse::<u32>().ok()?;
    let (address, port, word, kind) = (words.next()?, words.next()?.parse().ok()?, words.next()?, words.next()?);
    let fits = is_ice(foundation) && foundation.len() <= 32 && is_token(transport) && word == "typ" && is_token(kind);
    fits.then(|| Candidate { udp: transport.eq_ignore_ascii_case("udp"), host: kind == "host", address, port })
}

/// Values that are only counted or checked for digits.
pub(super) mod numbers {
    pub(in super::super) fn words(value: &str) -> usize {
        value.split_ascii_whitespace().count()
    }

    /// Two numbers that fit a signed 64-bit one.
    pub(in super::super) fn two(value: &str) -> bool {
        words(value) == 2 && value.split_ascii_whitespace().all(|word| word.parse::<u64>().is_ok_and(|n| n >> 63 == 0))
    }
}
