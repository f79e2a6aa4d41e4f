//! Towards a client: from its first byte to its wish to publish or play, and again after it has stopped publishing.

use super::{
    super::{
        amf0::Value,
        chunk::{Decoder, Message, Reader},
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
    noise: Box<[u8; NOISE_LEN]>,
    reader: Reader,
    connect: Option<Connect>,
    /// The name in `releaseStream` or `FCPublish`.
    name: Option<String>,
    messages: u32,
    acks: Acks,
    form: Form,
}

impl Server {
    /// A connection of which nothing has been read. `noise` is drawn by the caller.
    #[must_use]
    pub fn new(noise: Box<[u8; NOISE_LEN]>) -> Self {
        Self {
            handshake: Accept::default(),
            noise,
            reader: Reader::new(COMMAND_LEN_MAX),
            connect: None,
            name: None,
            messages: 0,
            acks: Acks::default(),
            form: Form::Flash,
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

    /// Takes bytes, appends answers to `out`, and stops behind a wish; returns the bytes used.
    ///
    /// # Errors
    /// The connection cannot go on; [`Server::refuse`] tells the client why, if it can hear.
    pub fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(usize, Heard), SessionError> {
        let mut used = 0_usize;
        while self.handshake != Accept::Done {
            let step = self.handshake.receive(input.get(used..).unwrap_or_default(), &self.noise, out)?;
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
                push_connected(command.transaction, out);
            }
            _ if self.connect.is_none() => return Err(SessionError::NotConnected),
            "releaseStream" | "FCPublish" => {
                self.form = Form::Fmle;
                self.same(name)?;
                push_result(command.transaction, vec![Value::Null, Value::Null], out);
            }
            "createStream" => {
                push_result(command.transaction, vec![Value::Null, Value::Number(f64::from(STREAM))], out);
            }
            "getStreamLength" => push_result(command.transaction, vec![Value::Null, Value::Number(0.0)], out),
            "publish" => {
                self.same(name)?;
                return self.ask(Role::Publish, name).map(Some);
            }
            "play" => return self.ask(Role::Play, name).map(Some),
            "_result" | "_error" | "onStatus" => {}
            _ if command.transaction > 0.0 => {
                push_result(command.transaction, vec![Value::Null, Value::Null], out);
            }
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
                const STARTED: &str = "NetStream.Publish.Start";
                if self.form == Form::Fmle {
                    let info = Value::texts(&[("code", STARTED), ("description", "Started publishing stream.")]);
                    push_command(STREAM, &Command::new("onFCPublish", 0.0, vec![Value::Null, info]), out);
                }
                push_command(STREAM, &Command::status("status", STARTED, "Started publishing stream."), out);
            }
            Role::Play => {
                message::push_stream_begin(STREAM, out);
                let reset = Command::status("status", "NetStream.Play.Reset", "Playing and resetting stream.");
                push_command(STREAM, &reset, out);
                push_command(
                    STREAM,
                    &Command::status("status", "NetStream.Play.Start", "Started playing stream."),
                    out,
                );
                push_data_start(out);
            }
        }
    }

    /// Tells the client why not, in words it can show. The connection is then closed by the caller, after these bytes are on their way.
    pub fn refuse(&self, code: &str, description: &str, out: &mut Vec<u8>) {
        push_command(STREAM, &Command::status("error", code, description), out);
    }

    /// What the edge has to tell a client whose stream is over, though it did not stop itself.
    pub fn stop(&self, role: Role, description: &str, out: &mut Vec<u8>) {
        let code = match role {
            Role::Publish => "NetStream.Unpublish.Success",
            Role::Play => "NetStream.Play.Stop",
        };
        push_command(STREAM, &Command::status("status", code, description), out);
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

    /// Takes it back after the relay: the client may go on with another stream.
    pub fn take_back(&mut self, decoder: Decoder, acks: Acks) {
        self.reader = Reader::of(decoder, COMMAND_LEN_MAX);
        self.acks = acks;
        self.name = None;
        self.form = Form::Flash;
    }

    /// What a command that came during the relay means; answers what is answered here.
    ///
    /// # Errors
    /// It does not read.
    pub fn during(&self, message: &Message, role: Role, out: &mut Vec<u8>) -> Result<After, SessionError> {
        let command = Command::read(message.header.kind, &message.payload)?;
        Ok(match (command.name.as_str(), role) {
            ("FCUnpublish", Role::Publish) => {
                const STOPPED: &str = "NetStream.Unpublish.Success";
                let info = Value::texts(&[("code", STOPPED), ("description", "Stop publishing stream.")]);
                push_command(STREAM, &Command::new("onFCUnpublish", 0.0, vec![Value::Null, info]), out);
                push_result(command.transaction, vec![Value::Null, Value::Null], out);
                push_command(STREAM, &Command::status("status", STOPPED, "Stream is now unpublished"), out);
                After::Ended
            }
            ("deleteStream" | "closeStream", _) => After::Ended,
            ("publish" | "play", _) => {
                self.refuse("NetStream.Publish.BadName", "this connection has a stream: end it first", out);
                After::Answered
            }
            ("releaseStream" | "FCPublish" | "createStream" | "connect", _) => After::Answered,
            _ => After::Forward,
        })
    }
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

fn push_connected(transaction: f64, out: &mut Vec<u8>) {
    message::push_number(kind::WINDOW, WINDOW, out);
    message::push_number(kind::BANDWIDTH, WINDOW, out);
    message::push_number(kind::CHUNK_SIZE, CHUNK_SIZE, out);
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
    push_result(transaction, vec![Value::Object(server), Value::Object(info)], out);
    push(COMMAND_CSID, 0, &Command::new("onBWDone", 0.0, vec![Value::Null]), out);
}

fn push_data_start(out: &mut Vec<u8>) {
    for values in [
        vec![Value::Text("|RtmpSampleAccess".to_owned()), Value::Boolean(true), Value::Boolean(true)],
        vec![Value::Text("onStatus".to_owned()), Value::texts(&[("code", "NetStream.Data.Start")])],
    ] {
        let mut payload = Vec::new();
        values.iter().for_each(|value| value.push(&mut payload));
        message::push(STATUS_CSID, kind::DATA, STREAM, &payload, CHUNK_SIZE, out);
    }
}

fn push_result(transaction: f64, args: Vec<Value>, out: &mut Vec<u8>) {
    push(COMMAND_CSID, 0, &Command::new("_result", transaction, args), out);
}

fn push_command(stream: u32, command: &Command, out: &mut Vec<u8>) {
    push(STATUS_CSID, stream, command, out);
}

fn push(csid: u32, stream: u32, command: &Command, out: &mut Vec<u8>) {
    message::push(csid, kind::COMMAND, stream, &command.payload(), CHUNK_SIZE, out);
}
