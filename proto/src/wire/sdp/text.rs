//! A description as lines: a session part and sections, each a list of lines kept as they came.

use super::{
    BODY_BYTES_MAX, FORMATS_MAX, LINE_BYTES_MAX, LINES_MAX, SECTIONS_MAX,
    attribute::{self, numbers},
    error::SdpError,
};

/// Line types of the session part and of a section (RFC 8866 section 9). Anything else is refused: SRS reads some letters of its own
/// (`y=`), and not safely.
const SESSION_LETTERS: &str = "vosiuepcbtrzka";
const SECTION_LETTERS: &str = "icbka";

/// Lines, without their ends.
#[derive(Clone, Default)]
pub(super) struct Block {
    pub(super) lines: Vec<String>,
}

impl Block {
    /// Values of every `a={name}` line, in order; empty for a flag.
    pub(super) fn attributes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines
            .iter()
            .filter_map(move |line| attribute::of(line).filter(|(n, _)| *n == name).map(|(_, value)| value))
    }

    pub(super) fn attribute<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.attributes(name).next()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }
}

/// One `m=` section.
#[derive(Clone)]
pub(super) struct Section {
    /// `audio`, `video`, `application`, ...
    pub(super) media: String,
    pub(super) port: u16,
    pub(super) protocol: String,
    /// Payload types, or what else the protocol has there.
    pub(super) formats: Vec<String>,
    /// Lines below the `m=` line.
    pub(super) block: Block,
}

impl Section {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (media, port, protocol) = (words.next()?, words.next()?, words.next()?);
        let formats: Vec<String> = words.map(str::to_owned).collect();
        let whole = attribute::is_token(media) && !protocol.is_empty() && formats.iter().all(|f| !f.is_empty());
        if !whole || formats.is_empty() || formats.len() > FORMATS_MAX {
            return None;
        }
        let section = Self {
            media: media.to_owned(),
            port: port.parse().ok()?,
            protocol: protocol.to_owned(),
            formats,
            block: Block::default(),
        };
        let rtp = section.is_audio() || section.is_video();
        (!rtp || section.formats.iter().all(|f| attribute::payload_type(f).is_some())).then_some(section)
    }

    pub(super) fn is_audio(&self) -> bool {
        self.media == "audio"
    }

    pub(super) fn is_video(&self) -> bool {
        self.media == "video"
    }

    pub(super) fn is_data(&self) -> bool {
        self.media == "application"
    }

    /// Whether the offerer switched the section off: port 0 without `bundle-only` (RFC 8843 section 6).
    pub(super) fn is_off(&self) -> bool {
        self.port == 0 && !self.block.has("bundle-only")
    }

    pub(super) fn mid(&self) -> Option<&str> {
        self.block.attribute("mid")
    }
}

/// A whole description.
#[derive(Clone)]
pub(super) struct Description {
    pub(super) session: Block,
    pub(super) sections: Vec<Section>,
}

impl Description {
    /// Reads a description; lines end in CRLF or LF, empty lines at the end are dropped.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SdpError> {
        if bytes.len() > BODY_BYTES_MAX {
            return Err(SdpError::TooLong { got: bytes.len(), limit: BODY_BYTES_MAX });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| SdpError::NotText)?.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(SdpError::Empty);
        }
        let mut whole = Self { session: Block::default(), sections: Vec::new() };
        for (index, line) in text.split('\n').enumerate() {
            if index >= LINES_MAX {
                return Err(SdpError::TooManyLines { limit: LINES_MAX });
            }
            whole.take(index.saturating_add(1), line.strip_suffix('\r').unwrap_or(line))?;
        }
        Ok(whole)
    }

    fn take(&mut self, number: usize, line: &str) -> Result<(), SdpError> {
        if line.len() > LINE_BYTES_MAX {
            return Err(SdpError::LineTooLong { line: number, got: line.len(), limit: LINE_BYTES_MAX });
        }
        if number == 1 && line != "v=0" {
            return Err(SdpError::Start);
        }
        let wrong = SdpError::Line { line: number };
        let (letter, value) = line.split_once('=').ok_or(wrong)?;
        if letter.len() != 1 || line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(wrong);
        }
        if letter == "m" {
            if self.sections.len() >= SECTIONS_MAX {
                return Err(SdpError::TooManySections { limit: SECTIONS_MAX });
            }
            self.sections.push(Section::parse(value.trim_end_matches(' ')).ok_or(wrong)?);
            return Ok(());
        }
        let (block, letters) = match self.sections.last_mut() {
            Some(section) => (&mut section.block, SECTION_LETTERS),
            None => (&mut self.session, SESSION_LETTERS),
        };
        let fits = match letter {
            "v" => number == 1,
            "o" => numbers::words(value) == 6,
            "t" => numbers::two(value),
            other => letters.contains(other),
        };
        if !fits || !letters.contains(letter) {
            return Err(wrong);
        }
        block.lines.push(line.to_owned());
        Ok(())
    }

    /// The value of an attribute that a section may inherit from the session part.
    pub(super) fn inherited<'a>(&'a self, section: &'a Section, name: &'a str) -> Option<&'a str> {
        section.block.attribute(name).or_else(|| self.session.attribute(name))
    }

    /// Writes the text, CRLF lines.
    pub(super) fn write(&self) -> String {
        let mut out = String::with_capacity(2048);
        let mut put = |line: &str| {
            out.push_str(line);
            out.push_str("\r\n");
        };
        self.session.lines.iter().for_each(|line| put(line));
        for section in &self.sections {
            put(&format!("m={} {} {} {}", section.media, section.port, section.protocol, section.formats.join(" ")));
            section.block.lines.iter().for_each(|line| put(line));
        }
        out
    }
}
