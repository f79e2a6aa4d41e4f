//! Messages as bytes: a head, a body, and a seal made with the cluster's secret.
//!
//! Head: format, lowest format of a reader, time (8 bytes), sender, its incarnation (8 bytes), receiver (empty: all), kind. A message that is
//! cut, changed by one bit, or sealed by somebody else is refused whole.

use crate::{
    entry,
    error::Error,
    limits::{ENTRY_BYTES_MAX, MESSAGE_BYTES_MAX, SEQ_MAX, VECTOR_LINES_MAX, WANTS_MAX},
    merge::Value,
    origin::{Have, Origin},
    wire::{self, Names, Reader},
};
use proto::{
    ControlId,
    secret::{Keyring, Purpose, SECRET_BYTES, mac, same},
};

/// The format written.
pub const FORMAT: u8 = 1;
/// The lowest format a reader of our messages must know.
const READABLE_BY: u8 = 1;
/// The oldest format read.
const OLDEST: u8 = 1;
/// Bytes of the seal: half of an HMAC-SHA256, which nobody guesses within the minutes a message is good for.
const SEAL_BYTES: usize = 16;
/// Room left for head, seal and the bounds of sections.
const MARGIN: usize = 512;

const BEACON: u8 = 1;
const WANT: u8 = 2;
const PARTS: u8 = 3;

/// What seals and opens messages.
#[derive(Clone)]
pub struct Keys {
    current: [u8; SECRET_BYTES],
    previous: Option<[u8; SECRET_BYTES]>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// From the cluster's secrets.
    #[must_use]
    pub fn new(keyring: &Keyring) -> Self {
        Self {
            current: keyring.current.key(Purpose::Gossip),
            previous: keyring.previous.as_ref().map(|secret| secret.key(Purpose::Gossip)),
        }
    }

    fn seal(key: &[u8], bytes: &[u8]) -> Vec<u8> {
        mac(key, &[bytes]).into_iter().take(SEAL_BYTES).collect()
    }
}

/// Who sends what to whom.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) from: Origin,
    /// `None` for everybody.
    pub(crate) to: Option<ControlId>,
    /// The sender's clock, unix milliseconds.
    pub(crate) sent_ms: u64,
    pub(crate) body: Body,
}

/// What is said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// What the sender has.
    Beacon(Beacon),
    /// What the sender lacks.
    Want { id: u64, wants: Vec<Want> },
    /// Changes, and for which numbers they stand.
    Parts { answers: u64, last: bool, sections: Vec<Section> },
}

/// What a node has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Beacon {
    /// It wants to hear everybody's at once.
    pub(crate) asks: bool,
    /// It ends.
    pub(crate) leaves: bool,
    /// [`crate::Core::digest`].
    pub(crate) digest: u64,
    /// Open entries.
    pub(crate) open: u64,
    /// How much it has of each origin.
    pub(crate) vector: Vec<(Origin, Have)>,
}

/// A range that a node lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) origin: Origin,
    pub(crate) after: u64,
    pub(crate) to: u64,
}

/// All that still stands of one origin's changes in a range of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Section {
    pub(crate) origin: Origin,
    pub(crate) after: u64,
    pub(crate) upto: u64,
    pub(crate) entries: Vec<(u64, Value)>,
}

fn write_origin(out: &mut Vec<u8>, origin: &Origin) {
    wire::text(out, origin.control.as_str());
    wire::number(out, origin.incarnation);
}

fn read_origin(reader: &mut Reader<'_>) -> Result<Origin, Error> {
    let control = ControlId::parse(reader.text()?).map_err(|_| Error::Damaged)?;
    Ok(Origin { control, incarnation: reader.number()? })
}

/// Writes and seals a message whose body is given as bytes.
fn sealed(keys: &Keys, from: &Origin, to: Option<&ControlId>, sent_ms: u64, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len().saturating_add(MARGIN));
    out.extend_from_slice(&[FORMAT, READABLE_BY]);
    out.extend_from_slice(&sent_ms.to_be_bytes());
    wire::text(&mut out, from.control.as_str());
    out.extend_from_slice(&from.incarnation.to_be_bytes());
    wire::text(&mut out, to.map_or("", ControlId::as_str));
    out.push(kind);
    out.extend_from_slice(body);
    let seal = Keys::seal(&keys.current, &out);
    out.extend_from_slice(&seal);
    out
}

/// Writes what a node has.
pub(crate) fn beacon(keys: &Keys, from: &Origin, sent_ms: u64, beacon: &Beacon) -> Vec<u8> {
    let mut body = vec![u8::from(beacon.asks) | (u8::from(beacon.leaves) << 1)];
    body.extend_from_slice(&beacon.digest.to_be_bytes());
    wire::number(&mut body, beacon.open);
    let lines = beacon.vector.len().min(VECTOR_LINES_MAX);
    wire::number(&mut body, u64::try_from(lines).unwrap_or(0));
    for (origin, have) in beacon.vector.iter().take(lines) {
        write_origin(&mut body, origin);
        wire::number(&mut body, have.upto);
        wire::number(&mut body, have.top.saturating_sub(have.upto));
        wire::number(&mut body, have.held.saturating_sub(have.upto));
        wire::number(&mut body, have.mark.into());
    }
    sealed(keys, from, None, sent_ms, BEACON, &body)
}

/// Writes what a node lacks.
pub(crate) fn want(keys: &Keys, from: &Origin, to: &ControlId, sent_ms: u64, id: u64, wants: &[Want]) -> Vec<u8> {
    let mut body = Vec::new();
    wire::number(&mut body, id);
    let count = wants.len().min(WANTS_MAX);
    wire::number(&mut body, u64::try_from(count).unwrap_or(0));
    for want in wants.iter().take(count) {
        write_origin(&mut body, &want.origin);
        wire::number(&mut body, want.after);
        wire::number(&mut body, want.to);
    }
    sealed(keys, from, Some(to), sent_ms, WANT, &body)
}

/// Fills a message with changes until it is full.
#[derive(Debug)]
pub(crate) struct PartsWriter {
    names: Names,
    body: Vec<u8>,
    sent_ms: u64,
    sections: u64,
    /// Of the section being written: its entries' bytes, how many, and the number before.
    section: (Vec<u8>, u64, u64),
}

impl PartsWriter {
    pub(crate) fn new(sent_ms: u64) -> Self {
        Self { names: Names::default(), body: Vec::new(), sent_ms, sections: 0, section: (Vec::new(), 0, 0) }
    }

    /// Whether another entry fits for sure.
    pub(crate) fn has_room(&self) -> bool {
        let used = self.body.len().saturating_add(self.section.0.len()).saturating_add(self.names.len());
        used.saturating_add(ENTRY_BYTES_MAX.saturating_mul(2)).saturating_add(MARGIN) < MESSAGE_BYTES_MAX
            && !self.names.is_full()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sections == 0
    }

    pub(crate) fn begin(&mut self, after: u64) {
        self.section = (Vec::new(), 0, after);
    }

    pub(crate) fn entry(&mut self, seq: u64, value: &Value) {
        let (bytes, count, before) = &mut self.section;
        wire::number(bytes, seq.saturating_sub(*before));
        entry::write(bytes, &mut self.names, value, self.sent_ms);
        *count = count.saturating_add(1);
        *before = seq;
    }

    pub(crate) fn end(&mut self, origin: &Origin, after: u64, upto: u64) {
        let (bytes, count, _) = std::mem::take(&mut self.section);
        write_origin(&mut self.body, origin);
        wire::number(&mut self.body, after);
        wire::number(&mut self.body, upto.saturating_sub(after));
        wire::number(&mut self.body, count);
        self.body.extend_from_slice(&bytes);
        self.sections = self.sections.saturating_add(1);
    }

    pub(crate) fn seal(
        &self,
        keys: &Keys,
        from: &Origin,
        to: Option<&ControlId>,
        (answers, last): (u64, bool),
    ) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.body.len().saturating_add(self.names.len()).saturating_add(32));
        wire::number(&mut body, answers);
        body.push(u8::from(last));
        self.names.write(&mut body);
        wire::number(&mut body, self.sections);
        body.extend_from_slice(&self.body);
        sealed(keys, from, to, self.sent_ms, PARTS, &body)
    }
}

/// Opens a message.
///
/// # Errors
/// What is wrong with it; nothing of it is to be believed then.
pub(crate) fn open(keys: &Keys, bytes: &[u8]) -> Result<Message, Error> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Error::TooLong { got: bytes.len(), limit: MESSAGE_BYTES_MAX });
    }
    let at = bytes.len().checked_sub(SEAL_BYTES).ok_or(Error::Damaged)?;
    let (signed, seal) = bytes.split_at_checked(at).ok_or(Error::Damaged)?;
    let fits = |key: &[u8; SECRET_BYTES]| same(&Keys::seal(key, signed), seal);
    if !fits(&keys.current) && !keys.previous.as_ref().is_some_and(fits) {
        return Err(Error::Stranger);
    }
    let mut reader = Reader::new(signed);
    let (format, needs) = (reader.byte()?, reader.byte()?);
    if format < OLDEST {
        return Err(Error::TooOld { got: format });
    }
    if needs > FORMAT {
        return Err(Error::TooNew { needs });
    }
    let sent_ms = u64::from_be_bytes(reader.fixed()?);
    let control = ControlId::parse(reader.text()?).map_err(|_| Error::Damaged)?;
    let from = Origin { control, incarnation: u64::from_be_bytes(reader.fixed()?) };
    let to = match reader.text()? {
        "" => None,
        text => Some(ControlId::parse(text).map_err(|_| Error::Damaged)?),
    };
    let body = match reader.byte()? {
        BEACON => Body::Beacon(read_beacon(&mut reader)?),
        WANT => read_want(&mut reader)?,
        PARTS => read_parts(&mut reader, sent_ms)?,
        kind => return Err(Error::UnknownKind { kind }),
    };
    Ok(Message { from, to, sent_ms, body })
}

fn read_beacon(reader: &mut Reader<'_>) -> Result<Beacon, Error> {
    let flags = reader.byte()?;
    let digest = u64::from_be_bytes(reader.fixed()?);
    let open = reader.number()?;
    let count = reader.count(VECTOR_LINES_MAX)?;
    let vector: Result<Vec<_>, Error> = (0..count).map(|_| Ok((read_origin(reader)?, read_have(reader)?))).collect();
    Ok(Beacon { asks: flags & 1 != 0, leaves: flags & 2 != 0, digest, open, vector: vector? })
}

fn read_have(reader: &mut Reader<'_>) -> Result<Have, Error> {
    let upto = seq(reader.number()?)?;
    let top = seq(upto.checked_add(reader.number()?).ok_or(Error::Future)?)?;
    let held = seq(upto.checked_add(reader.number()?).ok_or(Error::Future)?)?;
    let mark = u32::try_from(reader.number()?).map_err(|_| Error::Future)?;
    Ok(Have { upto, top, held, mark })
}

/// A number that somebody can have reached.
const fn seq(number: u64) -> Result<u64, Error> {
    if number > SEQ_MAX { Err(Error::Future) } else { Ok(number) }
}

fn read_want(reader: &mut Reader<'_>) -> Result<Body, Error> {
    let id = reader.number()?;
    let count = reader.count(WANTS_MAX)?;
    let want = |reader: &mut Reader<'_>| {
        Ok(Want { origin: read_origin(reader)?, after: seq(reader.number()?)?, to: reader.number()? })
    };
    let wants: Result<Vec<_>, Error> = (0..count).map(|_| want(reader)).collect();
    Ok(Body::Want { id, wants: wants? })
}

fn read_parts(reader: &mut Reader<'_>, base_ms: u64) -> Result<Body, Error> {
    let answers = reader.number()?;
    let last = reader.byte()? != 0;
    let names = reader.names()?;
    let count = reader.count(MESSAGE_BYTES_MAX)?;
    let mut sections = Vec::new();
    for _ in 0..count {
        sections.push(read_section(reader, &names, base_ms)?);
    }
    Ok(Body::Parts { answers, last, sections })
}

fn read_section(reader: &mut Reader<'_>, names: &[&[u8]], base_ms: u64) -> Result<Section, Error> {
    let origin = read_origin(reader)?;
    let after = seq(reader.number()?)?;
    let upto = seq(after.checked_add(reader.number()?).ok_or(Error::Future)?)?;
    let count = reader.count(MESSAGE_BYTES_MAX)?;
    let mut entries = Vec::new();
    let mut before = after;
    for _ in 0..count {
        let number = before.checked_add(reader.number()?).ok_or(Error::Damaged)?;
        if number <= before || number > upto {
            return Err(Error::Damaged);
        }
        before = number;
        entries.extend(entry::read(reader, names, base_ms)?.map(|value| (number, value)));
    }
    Ok(Section { origin, after, upto, entries })
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
