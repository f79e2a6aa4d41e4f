//! AMF0: the values in RTMP's commands.
//!
//! Read into a tree of bounded depth and size, by a loop over an explicit stack so that no input can deepen ours. Text that is not UTF-8 is
//! read with replacement characters: it can then equal no name of ours.
//!
//! Source: Adobe's AMF0 specification (2007-12-13).

use super::bytes::{Bytes, Short};

/// Deepest nesting of objects and arrays.
pub const DEPTH_MAX: usize = 16;
/// Most values in one message, those inside of others counted.
pub const VALUES_MAX: usize = 1024;
/// Longest text, in bytes.
pub const TEXT_LEN_MAX: usize = 16 * 1024;

const NUMBER: u8 = 0;
const BOOLEAN: u8 = 1;
const TEXT: u8 = 2;
const OBJECT: u8 = 3;
const NULL: u8 = 5;
const UNDEFINED: u8 = 6;
const ECMA_ARRAY: u8 = 8;
const OBJECT_END: u8 = 9;
const STRICT_ARRAY: u8 = 10;
const DATE: u8 = 11;
const LONG_TEXT: u8 = 12;
const XML: u8 = 15;
const TYPED_OBJECT: u8 = 16;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Also what dates are read as: milliseconds since 1970.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// Also XML.
    Text(String),
    /// Names and values in their order, of objects, typed objects and associative arrays.
    Object(Vec<(String, Value)>),
    /// Values without names.
    Array(Vec<Value>),
    /// Null, undefined, unsupported.
    Null,
}

/// Why bytes are not AMF0, or not AMF0 that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmfError {
    /// The bytes end inside a value.
    #[error(transparent)]
    Short(#[from] Short),
    /// A type that has no meaning in a command.
    #[error("AMF0 type {0} is not taken")]
    Marker(u8),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("values are nested deeper than {DEPTH_MAX}")]
    Depth,
    /// More than [`VALUES_MAX`] values.
    #[error("more than {VALUES_MAX} values")]
    Count,
    /// A text longer than [`TEXT_LEN_MAX`].
    #[error("a text of {got} bytes, at most {TEXT_LEN_MAX} are taken")]
    TextLen {
        /// Its bytes.
        got: usize,
    },
}

impl Value {
    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is one.
    #[must_use]
    pub const fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The value of that name, if this is an object that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// An object with these texts.
    #[must_use]
    pub fn texts(fields: &[(&str, &str)]) -> Self {
        Self::Object(fields.iter().map(|(n, v)| ((*n).to_owned(), Self::Text((*v).to_owned()))).collect())
    }

    /// Appends the value. Texts and names over 65,535 bytes are cut there: ours are shorter.
    pub fn push(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => push_number(*number, out),
            Self::Boolean(yes) => out.extend_from_slice(&[BOOLEAN, u8::from(*yes)]),
            Self::Text(text) => push_text(text, out),
            Self::Null => out.push(NULL),
            Self::Object(fields) => {
                out.push(OBJECT);
                for (name, value) in fields {
                    push_name(name, out);
                    value.push(out);
                }
                out.extend_from_slice(&[0, 0, OBJECT_END]);
            }
            Self::Array(values) => {
                out.push(STRICT_ARRAY);
                out.extend_from_slice(&u32::try_from(values.len()).unwrap_or(u32::MAX).to_be_bytes());
                values.iter().for_each(|value| value.push(out));
            }
        }
    }
}

/// Appends a number.
pub fn push_number(number: f64, out: &mut Vec<u8>) {
    out.push(NUMBER);
    out.extend_from_slice(&number.to_be_bytes());
}

/// Appends a text.
pub fn push_text(text: &str, out: &mut Vec<u8>) {
    out.push(TEXT);
    push_name(text, out);
}

/// Appends null.
pub fn push_null(out: &mut Vec<u8>) {
    out.push(NULL);
}

fn push_name(name: &str, out: &mut Vec<u8>) {
    let bytes = name.as_bytes();
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend(bytes.iter().take(usize::from(len)));
}

/// Reads all values of a message.
///
/// # Errors
/// The first thing that is wrong; nothing of the message is usable then.
pub fn read_all(input: &[u8]) -> Result<Vec<Value>, AmfError> {
    Reader { bytes: Bytes::new(input), count: 0, open: Vec::new() }.run()
}

/// A container whose end has not come.
enum Open {
    /// Fields so far, and the name of the one being read.
    Object(Vec<(String, Value)>, String),
    /// Values so far, and how many are still to come.
    Array(Vec<Value>, u32),
}

struct Reader<'a> {
    bytes: Bytes<'a>,
    count: usize,
    open: Vec<Open>,
}

/// What came after a marker.
enum Step {
    Value(Value),
    Opened(Open),
}

impl Reader<'_> {
    fn run(mut self) -> Result<Vec<Value>, AmfError> {
        let mut top = Vec::new();
        while self.bytes.left() > 0 || !self.open.is_empty() {
            let Some(mut value) = self.next()? else { continue };
            // A value may end the array it stands in, and that array the one around it.
            loop {
                match self.open.last_mut() {
                    None => {
                        top.push(value);
                        break;
                    }
                    Some(Open::Object(fields, name)) => {
                        fields.push((std::mem::take(name), value));
                        break;
                    }
                    Some(Open::Array(values, left)) => {
                        values.push(value);
                        *left = left.saturating_sub(1);
                        if *left > 0 {
                            break;
                        }
                        value = Value::Array(std::mem::take(values));
                        self.open.pop();
                    }
                }
            }
        }
        Ok(top)
    }

    /// One whole value, or nothing when a container was opened.
    fn next(&mut self) -> Result<Option<Value>, AmfError> {
        if let Some(Open::Object(fields, name)) = self.open.last_mut() {
            let len = usize::from(self.bytes.u16()?);
            *name = text(self.bytes.take(len)?);
            if name.is_empty() && ended(&mut self.bytes)? {
                let fields = std::mem::take(fields);
                self.open.pop();
                return Ok(Some(Value::Object(fields)));
            }
        }
        self.count = self.count.saturating_add(1);
        if self.count > VALUES_MAX {
            return Err(AmfError::Count);
        }
        match self.step()? {
            Step::Value(value) => Ok(Some(value)),
            Step::Opened(Open::Array(values, 0)) => Ok(Some(Value::Array(values))),
            Step::Opened(open) => {
                if self.open.len() >= DEPTH_MAX {
                    return Err(AmfError::Depth);
                }
                self.open.push(open);
                Ok(None)
            }
        }
    }

    fn step(&mut self) -> Result<Step, AmfError> {
        let object = || Step::Opened(Open::Object(Vec::new(), String::new()));
        let value = match self.bytes.u8()? {
            NUMBER => Value::Number(self.bytes.f64()?),
            BOOLEAN => Value::Boolean(self.bytes.u8()? != 0),
            TEXT => {
                let len = usize::from(self.bytes.u16()?);
                self.text(len)?
            }
            LONG_TEXT | XML => {
                let len = usize::try_from(self.bytes.u32()?).unwrap_or(usize::MAX);
                self.text(len)?
            }
            NULL | UNDEFINED => Value::Null,
            DATE => {
                let at = self.bytes.f64()?;
                self.bytes.u16()?;
                Value::Number(at)
            }
            OBJECT => return Ok(object()),
            ECMA_ARRAY => {
                // The count is a hint that encoders get wrong; the end marker decides.
                self.bytes.u32()?;
                return Ok(object());
            }
            TYPED_OBJECT => {
                let len = usize::from(self.bytes.u16()?);
                self.bytes.take(len)?;
                return Ok(object());
            }
            STRICT_ARRAY => return Ok(Step::Opened(Open::Array(Vec::new(), self.bytes.u32()?))),
            other => return Err(AmfError::Marker(other)),
        };
        Ok(Step::Value(value))
    }

    fn text(&mut self, len: usize) -> Result<Value, AmfError> {
        if len > TEXT_LEN_MAX {
            return Err(AmfError::TextLen { got: len });
        }
        Ok(Value::Text(text(self.bytes.take(len)?)))
    }
}

/// Takes an object's end, if it is what comes next.
fn ended(bytes: &mut Bytes<'_>) -> Result<bool, Short> {
    let mut ahead = *bytes;
    let ends = ahead.u8()? == OBJECT_END;
    if ends {
        *bytes = ahead;
    }
    Ok(ends)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(values: &[Value]) -> Vec<u8> {
        let mut out = Vec::new();
        values.iter().for_each(|value| value.push(&mut out));
        out
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(|n| Value::Number(f64::from(n))),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,20}".prop_map(Value::Text),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(("[a-z]{1,5}", inner.clone()), 0..5).prop_map(Value::Object),
                prop::collection::vec(inner, 0..5).prop_map(Value::Array),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in prop::collection::vec(value(), 0..5)) {
            prop_assert_eq!(read_all(&written(&values)), Ok(values));
        }

        #[test]
        fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(read_all(&bytes));
        }

        #[test]
        fn a_cut_value_is_short(values in prop::collection::vec(value(), 1..4), cut in 1_usize..40) {
            let whole = written(&values);
            let at = whole.len().saturating_sub(cut);
            match read_all(&whole[..at]) {
                Ok(fewer) => prop_assert!(fewer.len() < values.len()),
                Err(error) => prop_assert_eq!(error, AmfError::Short(Short)),
            }
        }
    }

    #[test]
    fn a_connect_of_an_encoder() {
        // The start of ffmpeg's connect, as captured.
        let hex = "02 0007 636f6e6e656374 00 3ff0000000000000 03 0003 617070 02 0004 6c697665 0000 09";
        let bytes = data_encoding::HEXLOWER.decode(hex.replace(' ', "").as_bytes()).unwrap();
        let values = read_all(&bytes).unwrap();
        assert_eq!(values[0].text(), Some("connect"));
        assert_eq!(values[1].number(), Some(1.0));
        assert_eq!(values[2].get("app").and_then(Value::text), Some("live"));
        assert_eq!(written(&values), bytes);
    }

    #[test]
    fn nesting_is_bounded_and_costs_no_stack() {
        let deep = |levels: usize| {
            let mut bytes = Vec::new();
            for _ in 0..levels {
                bytes.extend_from_slice(&[OBJECT, 0, 1, b'a']);
            }
            bytes
        };
        assert_eq!(read_all(&deep(10_000)), Err(AmfError::Depth));
        assert_eq!(read_all(&deep(DEPTH_MAX)), Err(AmfError::Short(Short)));
        let arrays: Vec<u8> = [STRICT_ARRAY, 0, 0, 0, 1].repeat(10_000);
        assert_eq!(read_all(&arrays), Err(AmfError::Depth));
    }

    #[test]
    fn counts_and_lengths_are_only_believed_when_bytes_follow() {
        assert_eq!(read_all(&[STRICT_ARRAY, 0xFF, 0xFF, 0xFF, 0xFF]), Err(AmfError::Short(Short)));
        let error = AmfError::TextLen { got: 0xFFFF_FFFF };
        assert_eq!(read_all(&[LONG_TEXT, 0xFF, 0xFF, 0xFF, 0xFF]), Err(error));
        assert_eq!(read_all(&[TEXT, 0xFF, 0xFF]), Err(AmfError::TextLen { got: 0xFFFF }));
        assert_eq!(read_all(&vec![NULL; VALUES_MAX + 1]), Err(AmfError::Count));
        assert_eq!(read_all(&[0x11]), Err(AmfError::Marker(0x11)), "AMF3");
        assert_eq!(read_all(&[STRICT_ARRAY, 0, 0, 0, 0]), Ok(vec![Value::Array(vec![])]));
    }

    #[test]
    fn an_array_with_names_ends_at_its_marker() {
        let bytes = [ECMA_ARRAY, 0, 0, 0, 99, 0, 1, b'a', NULL, 0, 0, OBJECT_END, BOOLEAN, 1];
        let object = Value::Object(vec![("a".to_owned(), Value::Null)]);
        assert_eq!(read_all(&bytes), Ok(vec![object, Value::Boolean(true)]));
    }
}
