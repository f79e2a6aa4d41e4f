//! Why a description, an answer or a fragment is refused.

/// What a refusal is to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not a session description: 400.
    Malformed,
    /// A session description that nobody here can serve: 422.
    Unusable,
}

/// Why an offer is refused. `section` counts `m=` lines from 0, `line` counts lines from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// No text.
    #[error("the description is empty")]
    Empty,
    /// More bytes than [`super::BODY_BYTES_MAX`].
    #[error("the description has {got} bytes, at most {limit} are read")]
    TooLong {
        /// Bytes given.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("the description is not UTF-8")]
    NotText,
    /// More lines than [`super::LINES_MAX`].
    #[error("the description has more than {limit} lines")]
    TooManyLines {
        /// Lines allowed.
        limit: usize,
    },
    /// A line longer than [`super::LINE_BYTES_MAX`].
    #[error("line {line} has {got} bytes, at most {limit} are read")]
    LineTooLong {
        /// Which line.
        line: usize,
        /// Its bytes.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The first line is not `v=0`.
    #[error("the description does not begin with `v=0`")]
    Start,
    /// Not `letter=value` with a letter that may stand there, or a value that its letter does not allow.
    #[error("line {line} is not a line of a session description")]
    Line {
        /// Which line.
        line: usize,
    },
    /// More sections than [`super::SECTIONS_MAX`].
    #[error("the description has more than {limit} media sections")]
    TooManySections {
        /// Sections allowed.
        limit: usize,
    },
    /// An attribute that does not follow its grammar, or contradicts another one.
    #[error("`a={name}` is malformed{}", Section(*.section))]
    Attribute {
        /// The section, or `None` for the session.
        section: Option<usize>,
        /// The attribute.
        name: &'static str,
    },

    /// No audio and no video.
    #[error("there is no audio or video section")]
    NoMedia,
    /// Neither audio, video nor a data channel.
    #[error("section {section} is neither audio, video nor a data channel")]
    MediaKind {
        /// The section.
        section: usize,
    },
    /// Not RTP over DTLS.
    #[error("section {section} is not RTP over DTLS (UDP/TLS/RTP/SAVPF)")]
    Protocol {
        /// The section.
        section: usize,
    },
    /// A direction the role forbids: a publisher must send, a player must receive.
    #[error("section {section} is {direction}, but must be {wanted} or sendrecv")]
    Direction {
        /// The section.
        section: usize,
        /// Its direction.
        direction: &'static str,
        /// The direction that fits the role.
        wanted: &'static str,
    },
    /// No `a=mid`.
    #[error("section {section} has no a=mid")]
    NoMid {
        /// The section.
        section: usize,
    },
    /// Another section has the same `mid`.
    #[error("section {section} has the same a=mid as another")]
    SameMid {
        /// The later section.
        section: usize,
    },
    /// No `a=group:BUNDLE`.
    #[error("there is no a=group:BUNDLE")]
    NoBundle,
    /// A section outside the BUNDLE group.
    #[error("section {section} is not in the BUNDLE group")]
    NotBundled {
        /// The section.
        section: usize,
    },
    /// Neither `a=rtcp-mux` nor `a=rtcp-mux-only`.
    #[error("section {section} has no a=rtcp-mux")]
    NoRtcpMux {
        /// The section.
        section: usize,
    },
    /// No ICE credentials.
    #[error("section {section} has no a=ice-ufrag or no a=ice-pwd")]
    NoIce {
        /// The section.
        section: usize,
    },
    /// No DTLS fingerprint.
    #[error("section {section} has no a=fingerprint")]
    NoFingerprint {
        /// The section.
        section: usize,
    },
    /// A DTLS role other than active, passive or actpass, or not the same in all sections.
    #[error("section {section} has an a=setup that cannot be answered")]
    Setup {
        /// The section.
        section: usize,
    },
    /// No codec that SRS serves.
    #[error("section {section} does not offer {wanted}")]
    Codec {
        /// The section.
        section: usize,
        /// What it would have to offer.
        wanted: &'static str,
    },
    /// Two tracks of a kind in a publisher's offer.
    #[error("section {section} is a second {media} track; one audio and one video track can be published")]
    TwoTracks {
        /// The section of the second one.
        section: usize,
        /// `audio` or `video`.
        media: &'static str,
    },
    /// A publisher's tracks belong to several streams.
    #[error("the tracks belong to {got} media streams; one can be published")]
    TwoStreams {
        /// Streams named.
        got: usize,
    },
    /// A publisher's section without `a=ssrc`: SRS knows packets by nothing else and would drop all of them.
    #[error("section {section} has no a=ssrc")]
    NoSource {
        /// The section.
        section: usize,
    },
}

struct Section(Option<usize>);

impl std::fmt::Display for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(section) => write!(f, " in section {section}"),
            None => f.write_str(" in the session part"),
        }
    }
}

impl SdpError {
    /// What the refusal is to the client.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Empty
            | Self::TooLong { .. }
            | Self::NotText
            | Self::TooManyLines { .. }
            | Self::LineTooLong { .. }
            | Self::Start
            | Self::Line { .. }
            | Self::TooManySections { .. }
            | Self::Attribute { .. } => Kind::Malformed,
            Self::NoMedia
            | Self::MediaKind { .. }
            | Self::Protocol { .. }
            | Self::Direction { .. }
            | Self::NoMid { .. }
            | Self::SameMid { .. }
            | Self::NoBundle
            | Self::NotBundled { .. }
            | Self::NoRtcpMux { .. }
            | Self::NoIce { .. }
            | Self::NoFingerprint { .. }
            | Self::Setup { .. }
            | Self::Codec { .. }
            | Self::TwoTracks { .. }
            | Self::TwoStreams { .. }
            | Self::NoSource { .. } => Kind::Unusable,
        }
    }

    /// The HTTP status to answer with: 400 or 422.
    #[must_use]
    pub const fn status_hint(&self) -> u16 {
        match self.kind() {
            Kind::Malformed => 400,
            Kind::Unusable => 422,
        }
    }
}

/// Why a media node's answer cannot be passed on. None of it is the client's fault; the session at the node has to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not a session description.
    #[error("the node's answer cannot be read")]
    Text(#[from] SdpError),
    /// No section, or none with media.
    #[error("the node's answer has no media")]
    NoMedia,
    /// ICE credentials missing, malformed, or not the same in all sections.
    #[error("the node's answer has no usable ICE credentials")]
    Ice,
    /// The node drew its own ufrag: the one asked for is taken. Delete the session and ask again with another.
    #[error("the node's answer has another ICE ufrag than was asked for")]
    UfragChanged,
    /// No DTLS fingerprint.
    #[error("the node's answer has no fingerprint")]
    NoFingerprint,
    /// A DTLS role that does not fit the offer's.
    #[error("the node's answer has an a=setup that does not fit the offer")]
    Setup,
    /// A section that was not offered, or of another kind, or twice.
    #[error("section {section} of the node's answer was not offered")]
    Section {
        /// The section of the answer, from 0.
        section: usize,
    },
    /// A publisher's section was left out; half a publisher is refused (RFC 9725 section 4.4.3).
    #[error("the node's answer leaves out section {section} of the offer")]
    Dropped {
        /// The section of the offer, from 0.
        section: usize,
    },
    /// Media flows the wrong way.
    #[error("section {section} of the node's answer has the wrong direction")]
    Direction {
        /// The section of the answer, from 0.
        section: usize,
    },
    /// No payload type that was offered.
    #[error("section {section} of the node's answer has no payload type of the offer")]
    Codec {
        /// The section of the answer, from 0.
        section: usize,
    },
    /// No usable candidate, or more than [`super::CANDIDATES_MAX`].
    #[error("the answer would have no candidate, or too many")]
    Candidates,
    /// Not a name for a media stream.
    #[error("the answer's media stream id is malformed")]
    Msid,
    /// More bytes than [`super::ANSWER_BYTES_MAX`].
    #[error("the answer would have {got} bytes, at most {limit} are read by every client")]
    TooLong {
        /// Bytes it would have.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

/// Why the body of a PATCH is no trickle fragment: 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// More bytes than [`super::FRAGMENT_BYTES_MAX`].
    #[error("the fragment has {got} bytes, at most {limit} are read")]
    TooLong {
        /// Bytes given.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("the fragment is not UTF-8")]
    NotText,
    /// A line that is not `letter=value`, or longer than [`super::LINE_BYTES_MAX`].
    #[error("line {line} of the fragment is not a line of a session description")]
    Line {
        /// Which line, from 1.
        line: usize,
    },
    /// Neither credentials, candidates nor an end of candidates.
    #[error("the fragment has neither ICE credentials nor candidates")]
    Empty,
    /// Credentials of no legal length or alphabet, or several different ones.
    #[error("the fragment's ICE credentials are malformed or contradict each other")]
    Credentials,
    /// A candidate that does not follow its grammar.
    #[error("line {line} of the fragment is not a candidate")]
    Candidate {
        /// Which line, from 1.
        line: usize,
    },
}
