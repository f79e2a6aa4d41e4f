//! `application/trickle-ice-sdpfrag`: what a client's PATCH carries (RFC 8840 section 4.4, RFC 9725 section 4.3).
//!
//! Media nodes are ICE-lite and need no candidate of a client, so candidates are only counted. What matters is whether the fragment's ICE
//! credentials are those of the offer: others mean a restart. The `m=` line is not compared, since `simple-whip-client` writes
//! `m=audio 9 RTP/AVP 0` whatever the section is.

/// Lines in one fragment at most.
const LINES_MAX: usize = 512;
/// Bytes in an ICE ufrag at most (RFC 8839 section 5.4).
const UFRAG_LEN_MAX: usize = 256;

/// What is kept of a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    /// The ICE ufrag it names, at session or media level; `None` when it only has candidates.
    pub(crate) ufrag: Option<&'a str>,
    /// Candidates named, whatever their transport or address.
    pub(crate) candidates: usize,
}

/// Why a body is not a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FragmentError {
    /// Not UTF-8.
    #[error("the fragment is not text")]
    NotText,
    /// A line that is not `letter=value`.
    #[error("line {line} of the fragment is not `letter=value`")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// More than [`LINES_MAX`] lines.
    #[error("the fragment has more than {LINES_MAX} lines")]
    TooLong,
    /// No ICE credentials, no candidate and no end of candidates.
    #[error("the fragment has neither ICE credentials nor candidates")]
    Empty,
    /// Two different ufrags, or one of no legal length.
    #[error("the fragment's ICE ufrag is malformed or changes within it")]
    Ufrag,
}

impl<'a> Fragment<'a> {
    /// Reads a fragment; lines may end in CRLF or LF.
    ///
    /// # Errors
    /// [`FragmentError`]: answer 400.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, FragmentError> {
        let text = std::str::from_utf8(body).map_err(|_| FragmentError::NotText)?;
        let mut fragment = Self { ufrag: None, candidates: 0 };
        let mut ended = false;
        for (index, line) in text.lines().enumerate() {
            if index >= LINES_MAX {
                return Err(FragmentError::TooLong);
            }
            match attribute(line).ok_or(FragmentError::Line { line: index + 1 })? {
                Line::Ufrag(ufrag) => fragment.take_ufrag(ufrag)?,
                Line::Candidate => fragment.candidates += 1,
                Line::End => ended = true,
                Line::Other => {}
            }
        }
        if fragment.ufrag.is_none() && fragment.candidates == 0 && !ended {
            return Err(FragmentError::Empty);
        }
        Ok(fragment)
    }

    fn take_ufrag(&mut self, ufrag: &'a str) -> Result<(), FragmentError> {
        let fits = (4..=UFRAG_LEN_MAX).contains(&ufrag.len());
        if !fits || self.ufrag.is_some_and(|earlier| earlier != ufrag) {
            return Err(FragmentError::Ufrag);
        }
        self.ufrag = Some(ufrag);
        Ok(())
    }
}

enum Line<'a> {
    Ufrag(&'a str),
    Candidate,
    End,
    Other,
}

/// Reads one line; `None` when it is not `letter=value`. Empty lines at the end are what some clients send.
fn attribute(line: &str) -> Option<Line<'_>> {
    if line.trim().is_empty() {
        return Some(Line::Other);
    }
    let (kind, value) = line.split_once('=')?;
    if kind.len() != 1 || !kind.bytes().all(|b| b.is_ascii_lowercase()) || value.is_empty() {
        return None;
    }
    if kind != "a" {
        return Some(Line::Other);
    }
    Some(match value.split_once(':') {
        Some(("ice-ufrag", ufrag)) => Line::Ufrag(ufrag.trim()),
        Some(("candidate", _)) => Line::Candidate,
        None if value.trim() == "end-of-candidates" => Line::End,
        Some(_) | None => Line::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stand_at_session_or_media_level() {
        let session = "a=ice-ufrag:EsAw\r\na=ice-pwd:x\r\nm=audio 9 RTP/AVP 0\r\na=mid:1\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n";
        let media = "m=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:0\na=ice-ufrag:EsAw\na=end-of-candidates\n";
        assert_eq!(Fragment::parse(session.as_bytes()), Ok(Fragment { ufrag: Some("EsAw"), candidates: 1 }));
        assert_eq!(Fragment::parse(media.as_bytes()), Ok(Fragment { ufrag: Some("EsAw"), candidates: 0 }));
    }

    #[test]
    fn what_is_no_fragment_is_told_apart() {
        assert_eq!(Fragment::parse(b""), Err(FragmentError::Empty));
        assert_eq!(Fragment::parse(b"garbage"), Err(FragmentError::Line { line: 1 }));
        assert_eq!(Fragment::parse(b"a=mid:0\r\nAB=1"), Err(FragmentError::Line { line: 2 }));
        assert_eq!(Fragment::parse(b"\xff"), Err(FragmentError::NotText));
        assert_eq!(Fragment::parse(b"a=ice-ufrag:abcd\r\na=ice-ufrag:efgh"), Err(FragmentError::Ufrag));
        assert_eq!(Fragment::parse(b"a=ice-ufrag:abc"), Err(FragmentError::Ufrag));
        let long = "a=mid:0\n".repeat(LINES_MAX + 1);
        assert_eq!(Fragment::parse(long.as_bytes()), Err(FragmentError::TooLong));
    }
}
