//! Towards a client: from its first byte to its wish to publish or play, and again after it has stopped publishing.

use super::{
    super::{
        amf0::Value,
        chunk::{Decoder, Message, Reader, push_message},
        handshake::{Accept, NOISE_LEN},
        identity::Identity,
        message::{self, COMMAND_CSID, COMMAND_LEN_MAX, Command, STATUS_CSID, WINDOW, kind},
    },
    Acks, CHUNK_SIZE, MESSAGES_MAX, STREAM, SessionError,
};
use crate::session::Role;

/// Longest text of `connect` that is kept, in bytes. Longer ones are cut: they are for people.
const TEXT_KEPT_MAX: usize = 1024;

/// What a client said of itself in `connect`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Connect {
    /// The application.
    pub app: String,
    /// The address it was given, with whatever credential stands in it: never logged.
    pub tc_url: String,
    /// What it is.
    pub flash_ver: String,
    /// The page it runs in.
    pub page_url: String,
    /// The program in that page.
    pub swf_url: String,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect").field("flash_ver", &self.flash_ver).finish_non_exhaustive()
    }
}

/// The two ways to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `releaseStream` and `FCPublish` first, as FMLE and all encoders of today.
    Fmle,
    /// `publish` alone, as a Flash page.
    Flash,
}

/// What a client wishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Publish or play.
    pub role: Role,
    /// Which stream, with what credential.
    pub identity: Identity,
    /// How it publishes.
    pub form: Form,
}

/// What came of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// More are needed.
    More,
    /// The client wants something: call [`Server::accept`] or [`Server::refuse`].
    Ask(Box<Ask>),
}

/// What a command during the relay means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It is the media node's to answer.
    Forward,
    /// The client stops; it may begin another stream.
    Ended,
    /// It was answered here.
    Answered,
}

/// One client's connection.
#[derive(Debug)]
pub struct Server {
    handshake: Accept,
    /// Gone once it was sent.
    noise: Option<Box<[u8; NOISE_LEN]>>,
    reader: Reader,
    connect: Option<Connect>,
    /// The name in `releaseStream` or `FCPublish`.
    name: Option<String>,
    messages: u32,
    acks: Acks,
    form: Form,
    /// Of what is sent to the client.
    chunk_size: u32,
}

impl Server {
    /// A connection of which nothing has been read. `noise` is drawn by the caller.
    #[must_use]
    pub fn new(noise: Box<[u8; NOISE_LEN]>) -> Self {
        Self {
            handshake: Accept::default(),
            noise: Some(noise),
            reader: Reader::new(COMMAND_LEN_MAX),
            connect: None,
            name: None,
            messages: 0,
            acks: Acks::default(),
            form: Form::Flash,
            chunk_size: CHUNK_SIZE,
        }
    }

    /// Whether the handshake is over, so that messages can be sent.
    #[must_use]
    pub fn greeted(&self) -> bool {
        self.handshake == Accept::Done
    }

    /// What the client said of itself.
    #[must_use]
    pub fn connect(&self) -> Connect {
        self.connect.clone().unwrap_or_default()
    }

    /// The chunk size the client was told.
    #[must_use]
    pub const fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Takes bytes, appends answers to `out`, and stops behind a wish; returns the bytes used.
    ///
    /// # Errors
    /// The connection cannot go on; [`Server::refuse`] tells the client why, if it can hear.
    pub fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(usize, Heard), SessionError> {
        let mut used = 0_usize;
        while self.handshake != Accept::Done {
            let none = [0; NOISE_LEN];
            let noise = self.noise.as_deref().unwrap_or(&none);
            let step = self.handshake.receive(input.get(used..).unwrap_or_default(), noise, out)?;
            if self.handshake != Accept::Hello {
                self.noise = None;
            }
            if step == 0 {
                return Ok((used, Heard::More));
            }
            used = used.saturating_add(step);
        }
        loop {
            let (step, message) = self.reader.next(input.get(used..).unwrap_or_default())?;
            used = used.saturating_add(step);
            self.acks.received(step);
            let Some(message) = message else { return Ok((used, Heard::More)) };
            self.messages = self.messages.saturating_add(1);
            if self.messages > MESSAGES_MAX {
                return Err(SessionError::Messages);
            }
            if let Some(ask) = self.message(&message, out)? {
                self.messages = 0;
                return Ok((used, Heard::Ask(Box::new(ask))));
            }
        }
    }

    fn message(&mut self, message: &Message, out: &mut Vec<u8>) -> Result<Option<Ask>, SessionError> {
        match message.header.kind {
            kind::COMMAND | kind::COMMAND_AMF3 => {
                let command = Command::read(message.header.kind, &message.payload)?;
                self.command(&command, out)
            }
            kind::WINDOW => {
                self.acks.window(message::number(&message.payload)?);
                Ok(None)
            }
            kind::USER_CONTROL => {
                message::push_pong(&message.payload, out);
                Ok(None)
            }
            kind::AUDIO | kind::VIDEO | kind::AGGREGATE => Err(SessionError::Early),
            _ => Ok(None),
        }
    }

    fn command(&mut self, command: &Command, out: &mut Vec<u8>) -> Result<Option<Ask>, SessionError> {
        let name = command.arg(1).and_then(Value::text).unwrap_or_default();
        match command.name.as_str() {
            "connect" => {
                self.connect.get_or_insert_with(|| connect_of(command));
                self.push_connected(command.transaction, out);
            }
            _ if self.connect.is_none() => return Err(SessionError::NotConnected),
            "releaseStream" | "FCPublish" => {
                self.form = Form::Fmle;
                self.same(name)?;
                self.push(result(command.transaction, Value::Null), out);
            }
            "createStream" => self.push(result(command.transaction, Value::Number(f64::from(STREAM))), out),
            "getStreamLength" => self.push(result(command.transaction, Value::Number(0.0)), out),
            "publish" => {
                self.same(name)?;
                return self.ask(Role::Publish, name).map(Some);
            }
            "play" => return self.ask(Role::Play, name).map(Some),
            "_result" | "_error" | "onStatus" => {}
            _ if command.transaction > 0.0 => self.push(result(command.transaction, Value::Null), out),
            _ => {}
        }
        Ok(None)
    }

    /// Every name of one publisher must be of the same stream: SRS heeds the first, the encoder means the last.
    fn same(&mut self, name: &str) -> Result<(), SessionError> {
        let first = self.name.get_or_insert_with(|| name.to_owned());
        let bare = |name: &str| name.split('?').next().unwrap_or_default().trim_start_matches('/').to_owned();
        if bare(first) == bare(name) { Ok(()) } else { Err(SessionError::TwoNames) }
    }

    fn ask(&self, role: Role, name: &str) -> Result<Ask, SessionError> {
        let connect = self.connect.clone().unwrap_or_default();
        let mut identity = Identity::of(&connect.tc_url, &connect.app, name)?;
        if identity.credential.is_none() && role == Role::Publish {
            // Encoders that leave the query out of `publish` have it in `releaseStream`.
            let first = self.name.as_deref().unwrap_or_default();
            identity.credential = Identity::of(&connect.tc_url, &connect.app, first)?.credential;
        }
        Ok(Ask { role, identity, form: self.form })
    }

    /// Tells the client that its wish is granted.
    pub fn accept(&self, role: Role, out: &mut Vec<u8>) {
        match role {
            Role::Publish => {
                if self.form == Form::Fmle {
                    self.push(notice("onFCPublish", PUBLISHED, "Started publishing stream."), out);
                }
                self.push(status("status", PUBLISHED, "Started publishing stream."), out);
            }
            Role::Play => {
                message::push_stream_begin(STREAM, out);
                self.push(status("status", "NetStream.Play.Reset", "Playing and resetting stream."), out);
                self.push(status("status", "NetStream.Play.Start", "Started playing stream."), out);
                self.push_data_start(out);
            }
        }
    }

    /// Tells the client why not, in words it can show. The connection is then closed by the caller, after these bytes are on their way.
    pub fn refuse(&self, code: &str, description: &str, out: &mut Vec<u8>) {
        self.push(status("error", code, description), out);
    }

    /// Gives the state of the client's chunks away for the relay, with the count for acknowledgements. Fails where the client has begun a
    /// message before it was told that it may.
    ///
    /// # Errors
    /// [`SessionError::Early`].
    pub fn lend(&mut self) -> Result<(Decoder, Acks), SessionError> {
        let reader = std::mem::replace(&mut self.reader, Reader::new(COMMAND_LEN_MAX));
        Ok((reader.into_decoder().ok_or(SessionError::Early)?, self.acks))
    }

    /// Takes it back after the relay, and the chunk size that the client was told there: it may go on with another stream.
    pub fn take_back(&mut self, decoder: Decoder, acks: Acks, told: u32) {
        self.chunk_size = told;
        self.reader = Reader::of(decoder, COMMAND_LEN_MAX);
        self.acks = acks;
        self.name = None;
        self.form = Form::Flash;
    }

    fn push_connected(&self, transaction: f64, out: &mut Vec<u8>) {
        message::push_number(kind::WINDOW, WINDOW, out);
        message::push_number(kind::BANDWIDTH, WINDOW, out);
        message::push_number(kind::CHUNK_SIZE, self.chunk_size, out);
        let number = |name: &str, number| (name.to_owned(), Value::Number(number));
        let text = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
        // Encoders look for a version of a server that they know.
        let server = vec![text("fmsVer", "FMS/3,5,3,888"), number("capabilities", 127.0), number("mode", 1.0)];
        let info = vec![
            text("level", "status"),
            text("code", "NetConnection.Connect.Success"),
            text("description", "Connection succeeded"),
            number("objectEncoding", 0.0),
        ];
        let args = vec![Value::Object(server), Value::Object(info)];
        self.push(command(COMMAND_CSID, 0, &Command::new("_result", transaction, args)), out);
        self.push(command(COMMAND_CSID, 0, &Command::new("onBWDone", 0.0, vec![Value::Null])), out);
    }

    fn push_data_start(&self, out: &mut Vec<u8>) {
        for values in [
            vec![Value::Text("|RtmpSampleAccess".to_owned()), Value::Boolean(true), Value::Boolean(true)],
            vec![Value::Text("onStatus".to_owned()), Value::texts(&[("code", "NetStream.Data.Start")])],
        ] {
            let mut payload = Vec::new();
            values.iter().for_each(|value| value.push(&mut payload));
            self.push(Message { header: message::header(STATUS_CSID, kind::DATA, STREAM, &payload), payload }, out);
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "messages are made to be pushed")]
    fn push(&self, message: Message, out: &mut Vec<u8>) {
        push_message(&message.header, &message.payload, self.chunk_size, out);
    }
}

/// What a command that came during the relay means; what is to be answered here goes to `answers`.
///
/// # Errors
/// It does not read.
pub fn during(message: &Message, role: Role, answers: &mut Vec<Message>) -> Result<After, SessionError> {
    let command = Command::read(message.header.kind, &message.payload)?;
    Ok(match (command.name.as_str(), role) {
        ("FCUnpublish", Role::Publish) => {
            answers.push(notice("onFCUnpublish", UNPUBLISHED, "Stop publishing stream."));
            answers.push(result(command.transaction, Value::Null));
            answers.push(status("status", UNPUBLISHED, "Stream is now unpublished"));
            After::Ended
        }
        ("deleteStream" | "closeStream", _) => After::Ended,
        ("publish" | "play", _) => {
            answers.push(status("error", "NetStream.Publish.BadName", "this connection has a stream: end it first"));
            After::Answered
        }
        ("releaseStream" | "FCPublish" | "createStream" | "connect", _) => After::Answered,
        _ => After::Forward,
    })
}

/// What tells a client that its stream is over, though it did not stop itself.
#[must_use]
pub fn over(role: Role, description: &str) -> Message {
    match role {
        // An encoder shows an error, and tries again.
        Role::Publish => status("error", UNPUBLISHED, description),
        Role::Play => status("status", "NetStream.Play.Stop", description),
    }
}

const PUBLISHED: &str = "NetStream.Publish.Start";
const UNPUBLISHED: &str = "NetStream.Unpublish.Success";

fn command(csid: u32, stream: u32, command: &Command) -> Message {
    let payload = command.payload();
    Message { header: message::header(csid, kind::COMMAND, stream, &payload), payload }
}

fn status(level: &str, code: &str, description: &str) -> Message {
    command(STATUS_CSID, STREAM, &Command::status(level, code, description))
}

fn notice(name: &str, code: &str, description: &str) -> Message {
    let info = Value::texts(&[("code", code), ("description", description)]);
    command(STATUS_CSID, STREAM, &Command::new(name, 0.0, vec![Value::Null, info]))
}

fn result(transaction: f64, value: Value) -> Message {
    command(COMMAND_CSID, 0, &Command::new("_result", transaction, vec![Value::Null, value]))
}

fn connect_of(command: &Command) -> Connect {
    let text = |name| {
        let text = command.arg(0).and_then(|object| object.get(name)).and_then(Value::text).unwrap_or_default();
        text.chars().take(TEXT_KEPT_MAX).collect::<String>()
    };
    // The address holds a credential, and is measured with the name.
    let whole =
        |name| command.arg(0).and_then(|object| object.get(name)).and_then(Value::text).unwrap_or_default().to_owned();
    Connect {
        app: whole("app"),
        tc_url: whole("tcUrl"),
        flash_ver: text("flashVer"),
        page_url: text("pageUrl"),
        swf_url: text("swfUrl"),
    }
}
