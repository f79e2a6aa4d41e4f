//! Towards a media node: handshake, connect, and the stream's name with a ticket, until the node has accepted it.

use super::{
    super::{
        CHUNK_SIZE_FIRST,
        amf0::{self, Value},
        chunk::{Decoder, Header, Message, Reader},
        handshake::{self, NOISE_LEN},
        message::{self, COMMAND_CSID, Command, kind},
    },
    Acks, Connect, MESSAGES_MAX, STREAM, SessionError,
};
use crate::session::Role;

/// Longest message of a node before media: `onMetaData` with all that encoders put there.
const NODE_MESSAGE_LEN_MAX: u32 = 64 * 1024;
/// The chunk stream of `publish` and `play`.
const STREAM_CSID: u32 = 8;
/// What a player buffers, in milliseconds, as far as the node is told.
const BUFFER_MS: u32 = 3000;

const CONNECT: f64 = 1.0;
const RELEASE: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE: f64 = 4.0;
const BEGIN: f64 = 5.0;

/// What to ask of a node.
#[derive(Clone)]
pub struct Plan {
    /// Publish or play.
    pub role: Role,
    /// The stream's name with the ticket behind it: the same in every command.
    pub name: String,
    /// What the client said of itself, with an address that names no virtual host and holds no credential.
    pub connect: Connect,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("role", &self.role).finish_non_exhaustive()
    }
}

/// What came of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hearing {
    /// More are needed.
    More,
    /// The node has accepted. For a player it may have said something of the stream already, which the client must hear first.
    Accepted(Option<Message>),
    /// The node said no, and how.
    Refused {
        /// The status code.
        code: String,
        /// Its words.
        description: String,
    },
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Hello,
    Connecting,
    Creating,
    Asked,
    /// A node says so before it asks its hook: media tells that it was let in.
    Started,
}

/// One connection to a node.
#[derive(Debug)]
pub struct Client {
    plan: Plan,
    stage: Stage,
    reader: Reader,
    messages: u32,
    acks: Acks,
}

impl Client {
    /// Begins: the first bytes go to `out`. `noise` is drawn by the caller.
    #[must_use]
    pub fn new(plan: Plan, noise: &[u8; NOISE_LEN], out: &mut Vec<u8>) -> Self {
        handshake::push_hello(noise, out);
        let reader = Reader::new(NODE_MESSAGE_LEN_MAX);
        Self { plan, stage: Stage::Hello, reader, messages: 0, acks: Acks::default() }
    }

    /// Whether the node has said that a player's stream starts, which SRS says before it has asked its hook.
    #[must_use]
    pub fn started(&self) -> bool {
        self.stage == Stage::Started
    }

    /// Takes bytes and appends answers to `out`; returns the bytes used. Stops before media, and behind acceptance or refusal.
    ///
    /// # Errors
    /// The node does not speak RTMP as SRS does.
    pub fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(usize, Hearing), SessionError> {
        let mut used = 0_usize;
        if self.stage == Stage::Hello {
            used = handshake::answer(input, out)?;
            if used == 0 {
                return Ok((0, Hearing::More));
            }
            self.push_connect(out);
            self.stage = Stage::Connecting;
        }
        loop {
            let mut media = std::cell::Cell::new(false);
            let rest = input.get(used..).unwrap_or_default();
            let (step, message) = self.reader.next_unless(rest, |header| {
                let is = is_media(header);
                media.set(is);
                is
            })?;
            used = used.saturating_add(step);
            self.acks.received(step);
            if *media.get_mut() {
                let heard = if self.started() { Hearing::Accepted(None) } else { return Err(SessionError::Early) };
                return Ok((used, heard));
            }
            let Some(message) = message else { return Ok((used, Hearing::More)) };
            self.messages = self.messages.saturating_add(1);
            if self.messages > MESSAGES_MAX {
                return Err(SessionError::Messages);
            }
            match self.message(message, out)? {
                Hearing::More => {}
                heard @ (Hearing::Accepted(_) | Hearing::Refused { .. }) => return Ok((used, heard)),
            }
        }
    }

    /// Gives the state of the node's chunks away for the relay, with the chunk size that the node was told and the count for acknowledgements.
    ///
    /// # Errors
    /// [`SessionError::Early`]: a message is under way.
    pub fn lend(self) -> Result<(Decoder, u32, Acks), SessionError> {
        let decoder = self.reader.into_decoder().ok_or(SessionError::Early)?;
        Ok((decoder, CHUNK_SIZE_FIRST, self.acks))
    }

    fn message(&mut self, message: Message, out: &mut Vec<u8>) -> Result<Hearing, SessionError> {
        match message.header.kind {
            kind::COMMAND | kind::COMMAND_AMF3 => {
                let command = Command::read(message.header.kind, &message.payload)?;
                self.command(&command, out)
            }
            kind::WINDOW => {
                self.acks.window(message::number(&message.payload)?);
                Ok(Hearing::More)
            }
            kind::USER_CONTROL => {
                message::push_pong(&message.payload, out);
                Ok(Hearing::More)
            }
            kind::DATA if self.started() && of_the_stream(&message.payload) => Ok(Hearing::Accepted(Some(message))),
            _ => Ok(Hearing::More),
        }
    }

    fn command(&mut self, command: &Command, out: &mut Vec<u8>) -> Result<Hearing, SessionError> {
        let (level, code, description) = command.told();
        let is = |transaction: f64| (command.transaction - transaction).abs() < 0.5;
        match (command.name.as_str(), self.stage) {
            ("_result", Stage::Connecting) if is(CONNECT) => {
                self.push_create(out);
                self.stage = Stage::Creating;
            }
            ("_result", Stage::Creating) if is(CREATE) => {
                let given = command.arg(1).and_then(Value::number).unwrap_or_default();
                if (given - f64::from(STREAM)).abs() > f64::EPSILON {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "saturates; for a log"
                    )]
                    return Err(SessionError::StreamId(given as u32));
                }
                self.push_begin(out);
                self.stage = Stage::Asked;
            }
            ("_error", _) if is(CONNECT) || is(CREATE) || is(BEGIN) => return Ok(refused(code, description)),
            ("onStatus", Stage::Asked | Stage::Started) if level == "error" => return Ok(refused(code, description)),
            ("onStatus", Stage::Asked) if code == "NetStream.Publish.Start" => return Ok(Hearing::Accepted(None)),
            ("onStatus", Stage::Asked) if code == "NetStream.Play.Start" => self.stage = Stage::Started,
            ("close", _) => return Ok(refused("NetConnection.Connect.Closed", "")),
            _ => {}
        }
        Ok(Hearing::More)
    }

    fn push_connect(&self, out: &mut Vec<u8>) {
        let client = &self.plan.connect;
        let mut fields = vec![
            ("app", client.app.as_str()),
            ("type", "nonprivate"),
            ("flashVer", client.flash_ver.as_str()),
            ("tcUrl", client.tc_url.as_str()),
        ];
        for (name, text) in [("swfUrl", &client.swf_url), ("pageUrl", &client.page_url)] {
            if !text.is_empty() {
                fields.push((name, text.as_str()));
            }
        }
        push(COMMAND_CSID, 0, &Command::new("connect", CONNECT, vec![Value::texts(&fields)]), out);
    }

    /// All at once: nothing in the first answers is waited for.
    fn push_create(&self, out: &mut Vec<u8>) {
        message::push_number(kind::WINDOW, message::WINDOW, out);
        let name = || vec![Value::Null, Value::Text(self.plan.name.clone())];
        if self.plan.role == Role::Publish {
            push(COMMAND_CSID, 0, &Command::new("releaseStream", RELEASE, name()), out);
            push(COMMAND_CSID, 0, &Command::new("FCPublish", FC_PUBLISH, name()), out);
        }
        push(COMMAND_CSID, 0, &Command::new("createStream", CREATE, vec![Value::Null]), out);
    }

    fn push_begin(&self, out: &mut Vec<u8>) {
        let name = Value::Text(self.plan.name.clone());
        let command = match self.plan.role {
            Role::Publish => Command::new("publish", BEGIN, vec![Value::Null, name, Value::Text("live".to_owned())]),
            // -2: live, or else what was recorded.
            Role::Play => Command::new("play", BEGIN, vec![Value::Null, name, Value::Number(-2000.0)]),
        };
        push(STREAM_CSID, STREAM, &command, out);
        if self.plan.role == Role::Play {
            message::push_buffer_length(STREAM, BUFFER_MS, out);
        }
    }

    /// What ends the stream at the node properly before the connection is closed.
    pub fn push_end(role: Role, name: &str, chunk_size: u32, out: &mut Vec<u8>) {
        let mut send = |command: &Command| {
            message::push(COMMAND_CSID, kind::COMMAND, 0, &command.payload(), chunk_size, out);
        };
        if role == Role::Publish {
            send(&Command::new("FCUnpublish", BEGIN + 1.0, vec![Value::Null, Value::Text(name.to_owned())]));
        }
        send(&Command::new("deleteStream", BEGIN + 2.0, vec![Value::Null, Value::Number(f64::from(STREAM))]));
    }
}

fn is_media(header: &Header) -> bool {
    matches!(header.kind, kind::AUDIO | kind::VIDEO | kind::AGGREGATE)
}

/// Whether a data message is the stream's own: these two SRS sends of itself, before it has asked its hook.
fn of_the_stream(payload: &[u8]) -> bool {
    let name = amf0::read_all(payload).ok().and_then(|values| values.into_iter().next());
    !matches!(name.as_ref().and_then(Value::text), Some("|RtmpSampleAccess" | "onStatus") | None)
}

fn refused(code: &str, description: &str) -> Hearing {
    Hearing::Refused { code: code.to_owned(), description: description.to_owned() }
}

fn push(csid: u32, stream: u32, command: &Command, out: &mut Vec<u8>) {
    message::push(csid, kind::COMMAND, stream, &command.payload(), CHUNK_SIZE_FIRST, out);
}
