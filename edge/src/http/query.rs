//! What clients write behind `?`, read strictly.
//!
//! SRS splits a query on `=`, `,`, `&` and `;` and lets the last name win, so a text can mean one stream to a reader and another to SRS. Nothing of
//! a client's query is passed on; a query in SRS's form that could be read in two ways is refused rather than guessed at.

/// Longest query that is looked at, in bytes: a token is under 2 KiB.
pub(crate) const QUERY_LEN_MAX: usize = 8 * 1024;

/// Why a query in SRS's form is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueryError {
    /// Over [`QUERY_LEN_MAX`].
    #[error("the query is too long")]
    TooLong,
    /// It has `;`, `,`, or a part that is not `name=value`: SRS's reader loses step at each of them.
    #[error("the query can be read in two ways: it must be `name=value` joined by `&`, without `;` and `,`")]
    Ambiguous,
    /// `app`, `stream`, `token` or `action` stands there twice.
    #[error("the query names `{0}` twice")]
    Twice(&'static str),
}

/// The values of a query in SRS's form that mean something here. All others are dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SrsQuery<'a> {
    /// `app`, raw.
    pub(crate) app: Option<&'a str>,
    /// `stream`, raw.
    pub(crate) stream: Option<&'a str>,
    /// `token`, raw.
    pub(crate) token: Option<&'a str>,
    /// `action`, raw.
    pub(crate) action: Option<&'a str>,
}

impl<'a> SrsQuery<'a> {
    /// Reads the text behind `?`. Values are not percent-decoded, as SRS does not.
    ///
    /// # Errors
    /// [`QueryError`]: answer 400.
    pub(crate) fn parse(text: &'a str) -> Result<Self, QueryError> {
        if text.len() > QUERY_LEN_MAX {
            return Err(QueryError::TooLong);
        }
        if text.contains([';', ',']) {
            return Err(QueryError::Ambiguous);
        }
        let mut query = Self::default();
        let text = text.strip_suffix('&').unwrap_or(text);
        for part in text.split('&').filter(|_| !text.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(QueryError::Ambiguous)?;
            if value.contains('=') {
                return Err(QueryError::Ambiguous);
            }
            let (slot, name) = match name {
                "app" => (&mut query.app, "app"),
                "stream" => (&mut query.stream, "stream"),
                "token" => (&mut query.token, "token"),
                "action" => (&mut query.action, "action"),
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(QueryError::Twice(name));
            }
        }
        Ok(query)
    }
}

/// The first value of `name` in an ordinary query, percent-decoded; `None` when absent, empty, or when the query is over [`QUERY_LEN_MAX`].
pub(crate) fn value(text: &str, name: &str) -> Option<String> {
    if text.len() > QUERY_LEN_MAX {
        return None;
    }
    let mut pairs = url::form_urlencoded::parse(text.as_bytes());
    pairs.find(|(n, v)| n == name && !v.is_empty()).map(|(_, value)| value.into_owned())
}

/// What a `webrtc://` URL of SRS's JSON form names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamUrl<'a> {
    /// The application.
    pub(crate) app: &'a str,
    /// The stream, raw.
    pub(crate) stream: &'a str,
    /// What stands behind `?`, or nothing.
    pub(crate) query: &'a str,
}

impl<'a> StreamUrl<'a> {
    /// Reads `scheme://host[:port]/app/stream[?query]`; `None` for any other shape.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut parts = place.split('/');
        let (host, app, stream) = (parts.next()?, parts.next()?, parts.next()?);
        let whole = parts.next().is_none() && !scheme.is_empty() && !host.is_empty();
        (whole && !app.is_empty() && !stream.is_empty()).then_some(Self { app, stream, query })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn srs_form_takes_four_names_and_drops_the_rest() {
        let query = SrsQuery::parse("app=live&stream=cam&token=T&eip=1.2.3.4&ice-ufrag=abcd&x=&").unwrap();
        assert_eq!(query, SrsQuery { app: Some("live"), stream: Some("cam"), token: Some("T"), action: None });
        assert_eq!(SrsQuery::parse("").unwrap(), SrsQuery::default());
    }

    #[test]
    fn what_srs_would_read_otherwise_is_refused() {
        for bad in [
            "app=live&stream=a;stream=b",
            "stream=good&a=b=stream=evil",
            "stream=good&token=abc==,stream,evil",
            "flag&app=live&stream=x",
            "&stream=x",
            "a=b&&stream=x",
        ] {
            assert_eq!(SrsQuery::parse(bad), Err(QueryError::Ambiguous), "{bad}");
        }
        assert_eq!(SrsQuery::parse("stream=a&stream=b"), Err(QueryError::Twice("stream")));
        assert_eq!(SrsQuery::parse(&"x".repeat(QUERY_LEN_MAX + 1)), Err(QueryError::TooLong));
    }

    /// SRS's own reader (`srs_parse_query_string`, 5.0.216): split at any of the separators, pair what comes out, the last of a name wins.
    fn as_srs_reads(text: &str) -> BTreeMap<String, String> {
        let mut words = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['=', ',', '&', ';']) {
            words.push(rest[..at].to_owned());
            let double = rest[at..].starts_with("&&");
            rest = &rest[at + if double { 2 } else { 1 }..];
        }
        if !rest.is_empty() {
            words.push(rest.to_owned());
        }
        words.chunks(2).map(|pair| (pair[0].clone(), pair.get(1).cloned().unwrap_or_default())).collect()
    }

    proptest! {
        #[test]
        fn what_is_taken_means_the_same_to_srs(text in "((app|stream|token|x)?[=&;,a-c]?){0,12}") {
            if let Ok(query) = SrsQuery::parse(&text) {
                let srs = as_srs_reads(&text);
                for (name, value) in [("app", query.app), ("stream", query.stream), ("token", query.token)] {
                    prop_assert_eq!(srs.get(name).map(String::as_str), value, "{} in {:?}", name, text);
                }
            }
        }

        #[test]
        fn no_text_makes_a_reader_panic(text: String, name: String) {
            drop((SrsQuery::parse(&text), StreamUrl::parse(&text), value(&text, &name)));
        }
    }

    #[test]
    fn ordinary_values_are_decoded() {
        assert_eq!(value("a=1&token=a%2Db", "token").as_deref(), Some("a-b"));
        assert_eq!(value("token=&takeover=1", "token"), None);
    }

    #[test]
    fn stream_urls_have_one_shape() {
        let url = StreamUrl::parse("webrtc://h:1985/live/cam?token=T").unwrap();
        assert_eq!((url.app, url.stream, url.query), ("live", "cam", "token=T"));
        for bad in
            ["", "cam", "webrtc://h/live", "webrtc://h/live/", "webrtc://h/live/a/b", "webrtc:///live/a", "://h/live/a"]
        {
            assert_eq!(StreamUrl::parse(bad), None, "{bad}");
        }
    }
}
