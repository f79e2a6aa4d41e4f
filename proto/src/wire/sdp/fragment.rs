//! `application/trickle-ice-sdpfrag`: the body of a PATCH (RFC 8840 section 9, RFC 9725 section 4.3).

use super::{FRAGMENT_BYTES_MAX, LINE_BYTES_MAX, attribute, error::FragmentError};
use std::net::SocketAddr;

/// What a PATCH means for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Candidates for the present ICE session.
    Trickle,
    /// New credentials: an ICE restart.
    Restart,
}

/// A fragment. The `m=` line is not compared with the offer's: Meetecho writes `m=audio 9 RTP/AVP 0` whatever the section is.
#[derive(Clone, PartialEq, Eq)]
pub struct TrickleFragment {
    ufrag: Option<String>,
    password: Option<String>,
    /// UDP candidates with an address, in order.
    candidates: Vec<SocketAddr>,
    dropped: usize,
    ended: bool,
}

impl std::fmt::Debug for TrickleFragment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrickleFragment").field("candidates", &self.candidates.len()).finish_non_exhaustive()
    }
}

impl TrickleFragment {
    /// Reads a fragment; lines end in CRLF or LF.
    ///
    /// Candidates of other transports than UDP, and those whose address is a name, are counted and dropped (RFC 9725 section 4.3.2).
    ///
    /// # Errors
    /// [`FragmentError`]: answer 400.
    pub fn parse(bytes: &[u8]) -> Result<Self, FragmentError> {
        if bytes.len() > FRAGMENT_BYTES_MAX {
            return Err(FragmentError::TooLong { got: bytes.len(), limit: FRAGMENT_BYTES_MAX });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| FragmentError::NotText)?;
        let mut fragment = Self { ufrag: None, password: None, candidates: Vec::new(), dropped: 0, ended: false };
        for (index, line) in text.trim_end_matches(['\r', '\n']).split('\n').enumerate() {
            fragment.take(index.saturating_add(1), line.strip_suffix('\r').unwrap_or(line))?;
        }
        let named = fragment.ufrag.is_some() || fragment.ended;
        if named || fragment.dropped > 0 || !fragment.candidates.is_empty() {
            Ok(fragment)
        } else {
            Err(FragmentError::Empty)
        }
    }

    fn take(&mut self, number: usize, line: &str) -> Result<(), FragmentError> {
        let wrong = FragmentError::Line { line: number };
        let (letter, _) = line.split_once('=').ok_or(wrong)?;
        let shaped =
            letter.len() == 1 && letter.bytes().all(|b| b.is_ascii_lowercase()) && line.len() <= LINE_BYTES_MAX;
        if !shaped || line.chars().any(char::is_control) {
            return Err(wrong);
        }
        match attribute::of(line) {
            Some(("ice-ufrag", value)) if attribute::is_ufrag(value) => same(&mut self.ufrag, value),
            Some(("ice-pwd", value)) if attribute::is_password(value) => same(&mut self.password, value),
            Some(("ice-ufrag" | "ice-pwd", _)) => Err(FragmentError::Credentials),
            Some(("candidate", value)) => {
                let candidate = attribute::candidate(value).ok_or(FragmentError::Candidate { line: number })?;
                match candidate.socket().filter(|_| candidate.udp) {
                    Some(address) => self.candidates.push(address),
                    None => self.dropped = self.dropped.saturating_add(1),
                }
                Ok(())
            }
            Some(("end-of-candidates", _)) => {
                self.ended = true;
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The ufrag it names, at session or section level.
    #[must_use]
    pub fn ufrag(&self) -> Option<&str> {
        self.ufrag.as_deref()
    }

    /// The password it names: a secret.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// UDP candidates with an address.
    #[must_use]
    pub fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// Candidates that were dropped.
    #[must_use]
    pub const fn dropped(&self) -> usize {
        self.dropped
    }

    /// Whether it says that no candidate will follow.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        self.ended
    }

    /// What it means for a session whose client had `ufrag` in its offer. Without credentials it is trickle.
    #[must_use]
    pub fn intent(&self, ufrag: &str) -> Intent {
        match self.ufrag() {
            Some(named) if named != ufrag => Intent::Restart,
            Some(_) | None => Intent::Trickle,
        }
    }
}

fn same(known: &mut Option<String>, value: &str) -> Result<(), FragmentError> {
    if known.get_or_insert_with(|| value.to_owned()) == value { Ok(()) } else { Err(FragmentError::Credentials) }
}
