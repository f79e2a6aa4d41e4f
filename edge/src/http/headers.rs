//! Header values of RFC 9110 that WHIP and WHEP lean on: media types, entity tags, and where this edge is as its clients see it.

/// SDP offers and answers.
pub(crate) const SDP: &str = "application/sdp";
/// Trickled candidates.
pub(crate) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Whether a `Content-Type` names `wanted`: case is ignored and so are parameters (RFC 9110 section 8.3.1).
pub(crate) fn is_media_type(value: &str, wanted: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(wanted)
}

/// Why a request with preconditions is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// There is no `If-Match` (428).
    Missing,
    /// None of the tags is the session's (412).
    Failed,
}

/// Compares `If-Match` with a session's tag, strongly: `W/"x"` matches nothing (RFC 9110 section 13.1.1).
///
/// `*` matches every session, and so does `"*"`: RFC 9725's own example quotes it and `MediaMTX` sends it. `lines` are the header's lines in
/// order; `current` has its quotes.
///
/// # Errors
/// [`Precondition`].
pub(crate) fn if_match<'a>(lines: impl Iterator<Item = &'a str>, current: &str) -> Result<(), Precondition> {
    let mut present = false;
    for line in lines {
        present = true;
        if line.trim() == "*" || strong_tags(line).any(|tag| tag == current || tag == "\"*\"") {
            return Ok(());
        }
    }
    Err(if present { Precondition::Failed } else { Precondition::Missing })
}

/// The strong entity tags of a list, quotes included. A comma inside quotes belongs to the tag; text outside quotes is no tag.
fn strong_tags(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find('"')?;
            let (before, quoted) = rest.split_at(start);
            let end = quoted.get(1..)?.find('"')? + 2;
            let (tag, tail) = quoted.split_at(end);
            rest = tail;
            if !before.trim_end().ends_with("W/") {
                return Some(tag);
            }
        }
    })
}

/// What a request says of the address it was sent to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The `Host` header or the request's own authority.
    pub(crate) host: Option<&'a str>,
    /// `X-Forwarded-Proto`, if a trusted proxy sent the request.
    pub(crate) forwarded_proto: Option<&'a str>,
    /// `X-Forwarded-Host`, if a trusted proxy sent the request.
    pub(crate) forwarded_host: Option<&'a str>,
}

/// The origin (`scheme://host[:port]`) that a client used, without a slash at the end; `None` when the request names no usable host.
pub(crate) fn origin(target: Target<'_>) -> Option<String> {
    let first = |list: &'_ str| list.split(',').next().unwrap_or_default().trim().to_owned();
    let https = target.forwarded_proto.is_some_and(|proto| first(proto).eq_ignore_ascii_case("https"));
    let host = target.forwarded_host.map(first).filter(|host| is_authority(host));
    let host = host.or_else(|| target.host.map(str::to_owned).filter(|host| is_authority(host)))?;
    Some(format!("{}://{host}", if https { "https" } else { "http" }))
}

/// `host[:port]` in the characters that hosts, IPv4 and bracketed IPv6 addresses have; anything else could bend the URL it goes into.
fn is_authority(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !text.is_empty() && text.len() <= 255 && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_the_tag_or_a_star_matches(line in "[\"W/*, a-c]{0,24}") {
            let named = line.contains("\"abc\"") || line.contains('*');
            prop_assert!(named || if_match([line.as_str()].into_iter(), "\"abc\"").is_err());
        }

        #[test]
        fn an_origin_has_no_room_for_a_path(host: String, forwarded: String) {
            let target = Target { host: Some(&host), forwarded_proto: None, forwarded_host: Some(&forwarded) };
            if let Some(origin) = origin(target) {
                let authority = origin.strip_prefix("http://").unwrap();
                prop_assert!(!authority.is_empty() && !authority.contains(['/', '?', '#', '@', '\\', ' ', '\r', '\n']));
            }
        }
    }

    #[test]
    fn media_types_ignore_case_and_parameters() {
        assert!(is_media_type("Application/SDP; charset=utf-8", SDP));
        assert!(!is_media_type("application/sdpx", SDP));
        assert!(!is_media_type("", SDP));
    }

    #[test]
    fn if_match_is_strong_and_takes_lists() {
        let tag = "\"abc\"";
        let check = |lines: &[&str]| if_match(lines.iter().copied(), tag);
        assert_eq!(check(&[]), Err(Precondition::Missing));
        for ok in ["*", " * ", "\"*\"", "\"abc\"", "\"a\", \"abc\"", "\"a,b\",\"abc\""] {
            assert_eq!(check(&[ok]), Ok(()), "{ok}");
        }
        for bad in ["", "abc", "\"stale\"", "W/\"abc\"", "\"a\", W/\"abc\"", "\"abc", "**", "\"a,\"abc\"\""] {
            assert_eq!(check(&[bad]), Err(Precondition::Failed), "{bad}");
        }
        assert_eq!(check(&["\"a\"", "\"abc\""]), Ok(()), "several lines are one list");
    }

    #[test]
    fn the_origin_is_what_the_client_typed() {
        let direct = Target { host: Some("edge:8082"), forwarded_proto: None, forwarded_host: None };
        assert_eq!(origin(direct).as_deref(), Some("http://edge:8082"));
        let proxied = Target { forwarded_proto: Some("https, http"), forwarded_host: Some("live.example"), ..direct };
        assert_eq!(origin(proxied).as_deref(), Some("https://live.example"));
        assert_eq!(origin(Target { host: None, ..direct }), None);
        let bent = Target { host: Some("a/b?c"), ..direct };
        assert_eq!(origin(bent), None);
        let bent = Target { forwarded_host: Some("a@b"), ..direct };
        assert_eq!(origin(bent).as_deref(), Some("http://edge:8082"));
        assert_eq!(origin(Target { host: Some("[::1]:80"), ..direct }).as_deref(), Some("http://[::1]:80"));
    }
}
