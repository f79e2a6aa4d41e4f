//! Which stream a client means, and what it shows for it: out of `tcUrl` and the stream name, as SRS reads them.
//!
//! SRS joins `tcUrl` and name to one URL, moves a query that stands before the last slash to the end, drops `/_definst_`, and takes the last
//! segment as the stream and the rest as the application; with no name, the last segment of the application is it. So a credential may stand
//! behind the stream's name (ffmpeg; the stream key of OBS) or behind the application (the server of OBS). Nothing is percent-decoded.
//!
//! Source: srs 5.0.216, `srs_protocol_utility.cpp:47-131`; read 2026-11-23.

use crate::ids::StreamId;

/// The one application.
pub const APP: &str = "live";
/// Longest `tcUrl` and name together, in bytes.
pub const URL_LEN_MAX: usize = 8 * 1024;
/// Query parameters under which a token or stream key may stand.
pub const CREDENTIAL_PARAMS: [&str; 2] = ["token", "key"];
/// The query parameter that ends a present publisher of the same owner, with the value `1`.
pub const TAKEOVER_PARAM: &str = "takeover";

/// What a client asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The stream.
    pub stream: StreamId,
    /// A token or stream key.
    pub credential: Option<String>,
    /// `takeover=1`.
    pub takeover: bool,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// Why no stream can be made of what a client sent. The texts are shown to whoever runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Another application.
    #[error("the application is `live`: use rtmp://HOST/live and the stream's id")]
    App,
    /// No stream, or a name that is none.
    #[error("no such stream name: it is the stream's id, with ?token= and the stream key behind it")]
    Name,
    /// More text than is read.
    #[error("the address has over {URL_LEN_MAX} bytes")]
    Long,
}

impl Identity {
    /// Reads both texts as SRS does.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn of(tc_url: &str, app: &str, name: &str) -> Result<Self, IdentityError> {
        if tc_url.len().saturating_add(app.len()).saturating_add(name.len()) > URL_LEN_MAX {
            return Err(IdentityError::Long);
        }
        // A client that sends no tcUrl has an application all the same.
        let base = if tc_url.is_empty() { format!("rtmp://host/{app}") } else { tc_url.to_owned() };
        let url = join(&base, name);
        let (path, query) = url.split_once(['?', '#']).unwrap_or((&url, ""));
        let path = path.split_once("://").map_or(path, |(_, rest)| rest);
        let path = path.split_once('/').map_or("", |(_, rest)| rest);
        let (app, stream) = path.rsplit_once('/').unwrap_or(("", path));
        // No name: it is the application's last segment.
        let (app, stream) = if stream.is_empty() { app.rsplit_once('/').unwrap_or((app, "")) } else { (app, stream) };
        if app.trim_matches('/') != APP {
            return Err(IdentityError::App);
        }
        let takeover = param(query, TAKEOVER_PARAM) == Some("1");
        let credential = CREDENTIAL_PARAMS.iter().find_map(|name| param(query, name)).map(str::to_owned);
        if credential.is_none()
            && let Some(stream) = stream_of_key(stream)
        {
            return Ok(Self { stream: stream.0, credential: Some(stream.1.to_owned()), takeover });
        }
        let stream = StreamId::parse(stream).map_err(|_| IdentityError::Name)?;
        Ok(Self { stream, credential, takeover })
    }
}

/// One URL of both: a query before the last slash comes to its end.
fn join(tc_url: &str, name: &str) -> String {
    let whole = format!("{}/{}", tc_url, name.strip_prefix('/').unwrap_or(name));
    let query = whole.find(['?', '#']);
    let whole = match (query.map(|at| whole.split_at(at)), whole.rfind('/')) {
        (Some((before, rest)), Some(slash)) if before.len() < slash => {
            let (query, name) = rest.split_at(slash.saturating_sub(before.len()));
            format!("{before}{name}{query}")
        }
        _ => whole,
    };
    whole.replacen("/_definst_", "", 1)
}

/// The first value of a parameter that is not empty.
fn param<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split(['?', '&', '#']).filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, value)| *known == name && !value.is_empty()).map(|(_, value)| value).next()
}

/// A stream key in the place of the name: it says the stream itself.
fn stream_of_key(name: &str) -> Option<(StreamId, &str)> {
    let (head, _check) = name.strip_prefix(crate::stream_key::PREFIX)?.rsplit_once('_')?;
    let (stream, random) = head.rsplit_once('_')?;
    (random.len() == crate::stream_key::RANDOM_LEN).then_some(())?;
    Some((StreamId::parse(stream).ok()?, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(tc_url: &str, name: &str) -> Result<(String, Option<String>, bool), IdentityError> {
        Identity::of(tc_url, "live", name).map(|id| (id.stream.to_string(), id.credential, id.takeover))
    }

    fn found(stream: &str, credential: Option<&str>) -> Result<(String, Option<String>, bool), IdentityError> {
        Ok((stream.to_owned(), credential.map(str::to_owned), false))
    }

    #[test]
    fn a_credential_stands_behind_name_or_application() {
        assert_eq!(of("rtmp://h/live", "s?token=T&x=1"), found("s", Some("T")));
        assert_eq!(of("rtmp://h/live?token=T", "s"), found("s", Some("T")));
        assert_eq!(of("rtmp://h:1935/live?token=T", "s?token=K"), found("s", Some("K")), "the name's comes first");
        assert_eq!(of("rtmp://h/live", "s?key=K"), found("s", Some("K")));
        assert_eq!(of("rtmp://h/live", "s?token=&key=K"), found("s", Some("K")));
        assert_eq!(of("rtmp://h/live", "s?token=a=b=="), found("s", Some("a=b==")));
        assert_eq!(of("rtmp://h/live", "s"), found("s", None));
    }

    #[test]
    fn names_are_found_where_srs_finds_them() {
        assert_eq!(of("rtmp://h/live/s?token=T", ""), found("s", Some("T")), "no name: the application's last part");
        assert_eq!(of("rtmp://h/live/_definst_", "s"), found("s", None));
        assert_eq!(of("rtmp://h/live/", "/s"), found("s", None));
        assert_eq!(of("rtmp://h/live?vhost=v.example/s", "s"), found("s", None));
        assert_eq!(Identity::of("", "live", "s").unwrap().stream.as_str(), "s");
        assert_eq!(of("rtmp://h/live", "s?takeover=1"), Ok(("s".to_owned(), None, true)));
    }

    #[test]
    fn a_stream_key_alone_says_its_stream() {
        let stream = StreamId::parse("cam_1-x").unwrap();
        let key = crate::stream_key::StreamKey::make(&stream, [7; 16], b"check");
        assert_eq!(of("rtmp://h/live", key.expose()), found("cam_1-x", Some(key.expose())));
        assert_eq!(of("rtmp://h/live", "sk_small_talk"), found("sk_small_talk", None), "a stream may be called that");
    }

    #[test]
    fn what_is_no_stream_of_ours_is_told_apart() {
        assert_eq!(of("rtmp://h/other", "s"), Err(IdentityError::App));
        assert_eq!(of("rtmp://h/live", "a/b"), Err(IdentityError::App));
        assert_eq!(of("rtmp://h/", "s"), Err(IdentityError::App));
        assert_eq!(of("rtmp://h/live", ""), Err(IdentityError::Name), "the application alone is no stream");
        assert_eq!(of("rtmp://h/live", "s.flv"), Err(IdentityError::Name));
        assert_eq!(of("rtmp://h/live", "s%20"), Err(IdentityError::Name));
        assert_eq!(of(&"x".repeat(URL_LEN_MAX), "s"), Err(IdentityError::Long));
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(tc_url in "[a-z:/?#&=_é]{0,30}", name in "[a-z:/?#&=_é]{0,30}") {
            drop(Identity::of(&tc_url, "live", &name));
        }
    }
}
