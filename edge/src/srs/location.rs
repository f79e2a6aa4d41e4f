//! SRS's `Location`: `/rtc/v1/whip/?action=delete&token=..&app=..&stream=..&session={server ufrag}:{client ufrag}`.

use proto::handle::SRS_VALUE_LEN_MAX;

/// SRS's own names for a session, as its DELETE wants them back.
#[derive(Clone, PartialEq, Eq)]
pub struct SrsSession {
    name: Box<str>,
    token: Box<str>,
}

impl std::fmt::Debug for SrsSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SrsSession(..)")
    }
}

impl SrsSession {
    /// Reads a `Location`; `None` if a value is absent, too long, or has a character that would be split or escaped on the way back.
    #[must_use]
    pub fn parse(location: &str) -> Option<Self> {
        let (_, query) = location.split_once('?')?;
        let value = |wanted: &str| query.split('&').filter_map(|p| p.split_once('=')).find(|(n, _)| *n == wanted);
        let (_, name) = value("session")?;
        let (_, token) = value("token")?;
        Self::of(name, token)
    }

    /// Takes the two values, e.g. out of a session handle, by the same rules.
    #[must_use]
    pub fn of(name: &str, token: &str) -> Option<Self> {
        // ICE characters and the colon that joins two ufrags (RFC 8839 section 5.4).
        let usable = |text: &str| {
            let fits = !text.is_empty() && text.len() <= SRS_VALUE_LEN_MAX;
            fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b':' | b'-' | b'_'))
        };
        (usable(name) && usable(token)).then(|| Self { name: name.into(), token: token.into() })
    }

    /// `{server ufrag}:{client ufrag}`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What DELETE must show.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The ufrag SRS gave to its side: another than the one asked for means that SRS knew a session of that name.
    #[must_use]
    pub fn server_ufrag(&self) -> &str {
        self.name.split(':').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn srs_5_writes_this() {
        let text = "/rtc/v1/whip/?action=delete&token=2f9h4b3z0&app=live&stream=w1&session=5b2k4j10:aB+/";
        let session = SrsSession::parse(text).unwrap();
        assert_eq!(
            (session.name(), session.token(), session.server_ufrag()),
            ("5b2k4j10:aB+/", "2f9h4b3z0", "5b2k4j10")
        );
    }

    #[test]
    fn what_could_change_the_next_url_is_not_taken() {
        for bad in ["", "/x", "/x?token=a", "/x?session=a&token=", "/x?session=a;b&token=c", "/x?session=a%20b&token=c"]
        {
            assert_eq!(SrsSession::parse(bad), None, "{bad}");
        }
        assert_eq!(SrsSession::of(&"a".repeat(SRS_VALUE_LEN_MAX + 1), "t"), None);
    }
}
