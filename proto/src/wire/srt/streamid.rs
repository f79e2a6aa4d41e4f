//! What a caller's stream id asks for, and the one that is written instead.
//!
//! Accepted: `#!::r=live/ID`, `#!::h=live/ID` (or `h=HOST/live/ID`), with `m=publish` or `m=request` and the credential under `token`, `key` or
//! `secret`; the same behind a `?` in the resource; and plain `live/ID` or `ID` with an optional query of the same names. Where no mode is
//! said the caller plays, as at SRS. A value goes up to the next separator, so it may hold `=`. Nothing is percent-decoded, callers' own URL
//! readers do that; only a leading `%23!::` is taken for `#!::`, which is how some callers send what URLs must be written with.

use crate::{
    ids::{IdError, StreamId},
    session::Role,
    ticket,
};
use std::fmt;

/// The app under which all streams are.
const APP: &str = "live";
const STANDARD: &str = "#!::";
/// The same from a caller that does not decode its URL: ffmpeg before 6.
const STANDARD_ENCODED: &str = "%23!::";

/// A stream id's meaning.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamRequest {
    /// The stream.
    pub stream: StreamId,
    /// Publish or play.
    pub role: Role,
    /// A token or stream key.
    pub credential: Option<String>,
    /// `takeover=1`: end a present publisher of the same owner.
    pub takeover: bool,
}

impl fmt::Debug for StreamRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRequest").field("stream", &self.stream).field("role", &self.role).finish_non_exhaustive()
    }
}

/// Why a stream id cannot be served. None of them repeats a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamIdError {
    /// There is none.
    #[error("the caller sent no stream id")]
    Missing,
    /// It names no stream.
    #[error("the stream id names no stream: use #!::r=live/ID")]
    NoResource,
    /// Another app than `live`.
    #[error("the stream id must name app `live`")]
    App,
    /// Not a stream's id.
    #[error("{0}")]
    Stream(#[from] IdError),
    /// A mode that is neither.
    #[error("the stream id's m must be publish or request")]
    Mode,
    /// A type of transfer that is no stream.
    #[error("the stream id's t must be stream")]
    Type,
    /// A part that is not `name=value`.
    #[error("the stream id has a part that is not name=value")]
    Part,
    /// The same thing twice.
    #[error("the stream id says `{0}` twice")]
    Twice(&'static str),
}

impl StreamRequest {
    /// Reads a stream id of at most [`super::STREAM_ID_LEN_MAX`] bytes.
    ///
    /// # Errors
    /// [`StreamIdError`]: refuse the caller.
    pub fn parse(text: &str) -> Result<Self, StreamIdError> {
        if text.is_empty() {
            return Err(StreamIdError::Missing);
        }
        let mut said = Said::default();
        let resource = match text.strip_prefix(STANDARD).or_else(|| text.strip_prefix(STANDARD_ENCODED)) {
            Some(list) => {
                said.pairs(list, ',')?;
                match (said.resource, said.host) {
                    (Some(resource), _) => resource,
                    (None, Some(host)) => host_resource(host)?,
                    (None, None) => return Err(StreamIdError::NoResource),
                }
            }
            None => text,
        };
        let (path, query) = resource.split_once('?').unwrap_or((resource, ""));
        said.pairs(query, '&')?;
        let stream = StreamId::parse(in_app(path)?)?;
        Ok(Self {
            stream,
            role: said.role.unwrap_or(Role::Play),
            credential: said.credential.map(str::to_owned),
            takeover: said.takeover.unwrap_or(false),
        })
    }
}

/// `h=live/ID` or `h=HOST/live/ID`; a host alone names no stream.
fn host_resource(host: &str) -> Result<&str, StreamIdError> {
    let path = host.split('?').next().unwrap_or(host);
    match path.matches('/').count() {
        0 => Err(StreamIdError::NoResource),
        1 => Ok(host),
        _ => host.split_once('/').map(|(_, rest)| rest).ok_or(StreamIdError::NoResource),
    }
}

fn in_app(path: &str) -> Result<&str, StreamIdError> {
    match path.split_once('/') {
        None => Ok(path),
        Some((APP, name)) => Ok(name),
        Some(_) => Err(StreamIdError::App),
    }
}

/// What has been read so far.
#[derive(Default)]
struct Said<'a> {
    resource: Option<&'a str>,
    host: Option<&'a str>,
    role: Option<Role>,
    credential: Option<&'a str>,
    takeover: Option<bool>,
}

fn once<T>(slot: &mut Option<T>, value: T, name: &'static str) -> Result<(), StreamIdError> {
    if slot.replace(value).is_some() { Err(StreamIdError::Twice(name)) } else { Ok(()) }
}

impl<'a> Said<'a> {
    fn pairs(&mut self, list: &'a str, separator: char) -> Result<(), StreamIdError> {
        for part in list.split(separator).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(StreamIdError::Part)?;
            match name {
                "r" => once(&mut self.resource, value, "r")?,
                "h" => once(&mut self.host, value, "h")?,
                "m" => once(&mut self.role, mode(value)?, "m")?,
                "token" | "key" | "secret" if !value.is_empty() => once(&mut self.credential, value, "token")?,
                "takeover" => once(&mut self.takeover, value == "1", "takeover")?,
                "t" if !value.eq_ignore_ascii_case("stream") => return Err(StreamIdError::Type),
                // An empty credential, a user's name, a session's, and whatever else players add.
                _ => {}
            }
        }
        Ok(())
    }
}

fn mode(value: &str) -> Result<Role, StreamIdError> {
    if value.eq_ignore_ascii_case("publish") {
        Ok(Role::Publish)
    } else if value.eq_ignore_ascii_case("request") {
        Ok(Role::Play)
    } else {
        Err(StreamIdError::Mode)
    }
}

/// The stream id that SRS gets: nothing of the caller's own text, and no `=` inside a value, where SRS would split it.
#[must_use]
pub fn canonical(stream: &StreamId, role: Role, ticket: &str) -> String {
    let mode = match role {
        Role::Publish => "publish",
        Role::Play => "request",
    };
    format!("{STANDARD}r={APP}/{stream},m={mode},{}={ticket}", ticket::PARAM)
}

#[cfg(test)]
mod tests {
    use super::{super::STREAM_ID_LEN_MAX, *};
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<(String, Role, Option<String>, bool), StreamIdError> {
        StreamRequest::parse(text).map(|got| (got.stream.to_string(), got.role, got.credential, got.takeover))
    }

    fn ok(text: &str, role: Role, credential: Option<&str>) {
        assert_eq!(parse(text), Ok(("cam".to_owned(), role, credential.map(str::to_owned), false)), "{text}");
    }

    #[test]
    fn every_form_srs_takes_is_read() {
        use Role::{Play, Publish};
        ok("#!::r=live/cam,m=publish,token=T", Publish, Some("T"));
        ok("#!::r=cam,m=publish,key=T", Publish, Some("T"));
        ok("#!::h=cdn.example.com,r=live/cam,m=PUBLISH,secret=T,u=me,s=1,t=stream", Publish, Some("T"));
        ok("#!::h=live/cam,m=publish", Publish, None);
        ok("#!::h=cdn.example.com/live/cam,m=request,token=T", Play, Some("T"));
        ok("#!::r=live/cam?token=T,m=publish", Publish, Some("T"));
        ok("#!::r=live/cam?token=T&m=publish", Publish, Some("T"));
        ok("#!::h=live/cam?token=T,m=publish", Publish, Some("T"));
        ok("#!::r=live/cam", Play, None);
        ok("%23!::r=live/cam,m=publish,token=T", Publish, Some("T"));
        ok("live/cam?token=T&m=publish", Publish, Some("T"));
        ok("live/cam?token=T", Play, Some("T"));
        ok("cam", Play, None);
        ok("cam?", Play, None);
        ok("#!::r=live/cam,m=publish,token=a=b==", Publish, Some("a=b=="));
        ok("live/cam?token=a=b==&x=1", Play, Some("a=b=="));
        ok("#!::r=live/cam,token=,m=publish", Publish, None);
        assert!(StreamRequest::parse("#!::r=live/cam,m=publish,takeover=1").unwrap().takeover);
        assert!(!StreamRequest::parse("#!::r=live/cam,m=publish,takeover=0").unwrap().takeover);
    }

    #[test]
    fn what_cannot_be_read_is_told_apart() {
        assert_eq!(parse(""), Err(StreamIdError::Missing));
        assert_eq!(parse("#!::m=publish"), Err(StreamIdError::NoResource));
        assert_eq!(parse("#!::h=cdn.example.com,m=publish"), Err(StreamIdError::NoResource));
        assert_eq!(parse("#!::r=other/cam,m=publish"), Err(StreamIdError::App));
        assert_eq!(parse("#!::r=live/cam,m=play"), Err(StreamIdError::Mode));
        assert_eq!(parse("#!::r=live/cam,t=file"), Err(StreamIdError::Type));
        assert_eq!(parse("#!::r=live/cam,publish"), Err(StreamIdError::Part));
        assert_eq!(parse("#!::r=live/a,r=live/b"), Err(StreamIdError::Twice("r")));
        assert_eq!(parse("#!::r=live/cam,token=a,key=b"), Err(StreamIdError::Twice("token")));
        assert!(matches!(parse("live/a/b"), Err(StreamIdError::Stream(_))));
        assert!(matches!(parse("live/../x"), Err(StreamIdError::Stream(_))));
        assert!(matches!(parse("#!::r=live/"), Err(StreamIdError::Stream(_))));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let request = StreamRequest::parse("#!::r=live/cam,token=hunter2").unwrap();
        assert!(!format!("{request:?}").contains("hunter2"));
    }

    #[test]
    fn the_longest_canonical_id_fits() {
        let stream = StreamId::parse(&"s".repeat(StreamId::LEN_MAX)).unwrap();
        let text = canonical(&stream, Role::Publish, &"t".repeat(ticket::TICKET_LEN_MAX));
        assert!(text.len() <= STREAM_ID_LEN_MAX, "{}", text.len());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text: String) {
            drop(StreamRequest::parse(&text));
            drop(StreamRequest::parse(&format!("#!::{text}")));
        }

        #[test]
        fn a_canonical_id_reads_back(id in "[A-Za-z0-9_-]{1,64}", ticket in "[A-Za-z0-9_-]{1,200}", publish: bool) {
            let stream = StreamId::parse(&id).unwrap();
            let role = if publish { Role::Publish } else { Role::Play };
            let text = canonical(&stream, role, &ticket);
            let got = StreamRequest::parse(&text).unwrap();
            prop_assert_eq!((got.stream, got.role, got.credential), (stream, role, None));
            let end = format!(",kst={ticket}");
            prop_assert!(text.ends_with(&end));
        }
    }
}
