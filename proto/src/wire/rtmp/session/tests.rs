use super::*;
use crate::{
    session::Role,
    wire::rtmp::{
        amf0::Value,
        chunk::Message,
        handshake::{ANSWER_LEN, NOISE_LEN, VERSION},
        message::{self, Command, kind},
    },
};
use proptest::prelude::*;

fn connect(app: &str, tc_url: &str) -> Connect {
    Connect { app: app.into(), tc_url: tc_url.into(), flash_ver: "test".into(), ..Connect::default() }
}

fn plan(role: Role, name: &str) -> Plan {
    Plan { role, name: name.to_owned(), connect: connect("live", "rtmp://h/live") }
}

/// Carries bytes between both machines until neither has more to say; returns the wish and what the client heard.
struct Pair {
    client: Client,
    server: Server,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    ask: Option<Ask>,
    hearing: Hearing,
}

impl Pair {
    fn new(role: Role, name: &str) -> Self {
        let mut to_server = Vec::new();
        let client = Client::new(plan(role, name), &[1; NOISE_LEN], &mut to_server);
        let server = Server::new(Box::new([2; NOISE_LEN]));
        Self { client, server, to_server, to_client: Vec::new(), ask: None, hearing: Hearing::More }
    }

    fn run(&mut self) {
        loop {
            let before = (self.to_server.len(), self.to_client.len());
            if self.ask.is_none() {
                let (used, heard) = self.server.receive(&self.to_server, &mut self.to_client).unwrap();
                self.to_server.drain(..used);
                if let Heard::Ask(ask) = heard {
                    self.ask = Some(*ask);
                }
            }
            if self.hearing == Hearing::More {
                let (used, hearing) = self.client.receive(&self.to_client, &mut self.to_server).unwrap();
                self.to_client.drain(..used);
                self.hearing = hearing;
            }
            if before == (self.to_server.len(), self.to_client.len()) {
                return;
            }
        }
    }
}

#[test]
fn a_publisher_is_heard_and_accepted() {
    let mut pair = Pair::new(Role::Publish, "cam?token=T&takeover=1");
    pair.run();
    let ask = pair.ask.clone().expect("publish was sent");
    assert_eq!((ask.role, ask.form, ask.identity.stream.as_str()), (Role::Publish, Form::Fmle, "cam"));
    assert_eq!((ask.identity.credential.as_deref(), ask.identity.takeover), (Some("T"), true));
    assert_eq!(pair.hearing, Hearing::More, "nothing is told before it is so");
    assert_eq!(pair.server.connect().flash_ver, "test");
    pair.server.accept(Role::Publish, &mut pair.to_client);
    pair.run();
    assert_eq!(pair.hearing, Hearing::Accepted(None));
    assert!(pair.server.lend().is_ok() && pair.client.lend().is_ok());
}

#[test]
fn a_refusal_is_heard_with_its_words() {
    for role in [Role::Publish, Role::Play] {
        let mut pair = Pair::new(role, "cam");
        pair.run();
        pair.server.refuse("NetStream.Publish.Denied", "ask the owner", &mut pair.to_client);
        pair.run();
        let (code, description) = ("NetStream.Publish.Denied".to_owned(), "ask the owner".to_owned());
        assert_eq!(pair.hearing, Hearing::Refused { code, description });
    }
}

#[test]
fn a_player_is_accepted_by_media_and_not_before() {
    let mut pair = Pair::new(Role::Play, "cam");
    pair.run();
    assert_eq!(pair.ask.as_ref().map(|ask| ask.role), Some(Role::Play));
    pair.server.accept(Role::Play, &mut pair.to_client);
    pair.run();
    assert_eq!(pair.hearing, Hearing::More, "Play.Start comes before the node's hook");
    assert!(pair.client.started());
    let mut metadata = Vec::new();
    crate::wire::rtmp::amf0::push_text("onMetaData", &mut metadata);
    message::push(5, kind::DATA, 1, &metadata, CHUNK_SIZE, &mut pair.to_client);
    message::push(6, kind::VIDEO, 1, &[0x17, 0], CHUNK_SIZE, &mut pair.to_client);
    pair.run();
    let Hearing::Accepted(Some(held)) = &pair.hearing else { panic!("{:?}", pair.hearing) };
    assert_eq!(held.payload, metadata);
    assert_eq!(pair.to_client.len(), 14, "media is left for the relay");
    let (decoder, told, _) = pair.client.lend().unwrap();
    assert_eq!((decoder.chunk_size(), told), (CHUNK_SIZE, 128));
}

#[test]
fn media_alone_lets_a_player_in_and_stays_where_it_is() {
    let mut pair = Pair::new(Role::Play, "cam");
    pair.run();
    pair.server.accept(Role::Play, &mut pair.to_client);
    message::push(6, kind::VIDEO, 1, &[0x17, 0], CHUNK_SIZE, &mut pair.to_client);
    pair.run();
    assert_eq!(pair.hearing, Hearing::Accepted(None));
    assert_eq!(pair.to_client.len(), 14);
}

#[test]
fn what_a_node_sends_is_read_as_captured() {
    // SRS 5.0.216 to a publisher, without the handshake: see docs/rtmp.md.
    let mut out = Vec::new();
    let mut client = Client::new(plan(Role::Publish, "tap1"), &[0; NOISE_LEN], &mut out);
    let mut from_node = vec![VERSION];
    from_node.resize(ANSWER_LEN, 1);
    let command = |name: &str, transaction, args| {
        let mut bytes = Vec::new();
        message::push(3, kind::COMMAND, 0, &Command::new(name, transaction, args).payload(), CHUNK_SIZE, &mut bytes);
        bytes
    };
    message::push_number(kind::WINDOW, 2_500_000, &mut from_node);
    message::push_number(kind::BANDWIDTH, 2_500_000, &mut from_node);
    message::push_number(kind::CHUNK_SIZE, 60_000, &mut from_node);
    from_node.extend(command(
        "_result",
        1.0,
        vec![Value::Null, Value::texts(&[("code", "NetConnection.Connect.Success")])],
    ));
    from_node.extend(command("onBWDone", 0.0, vec![Value::Null]));
    for transaction in [2.0, 3.0] {
        from_node.extend(command("_result", transaction, vec![Value::Null, Value::Null]));
    }
    from_node.extend(command("_result", 4.0, vec![Value::Null, Value::Number(1.0)]));
    let started = Value::texts(&[("code", "NetStream.Publish.Start"), ("description", "Started publishing stream.")]);
    from_node.extend(command("onFCPublish", 0.0, vec![Value::Null, started]));
    assert_eq!(client.receive(&from_node, &mut out), Ok((from_node.len(), Hearing::More)), "the hook is still asked");
    let status = Command::status("status", "NetStream.Publish.Start", "Started publishing stream.");
    let more = command("onStatus", 0.0, status.args);
    assert_eq!(client.receive(&more, &mut out), Ok((more.len(), Hearing::Accepted(None))));
}

/// A server that has shaken hands and heard these commands.
fn heard(commands: &[Command]) -> Result<Heard, SessionError> {
    let mut server = Server::new(Box::new([0; NOISE_LEN]));
    let mut bytes = vec![VERSION];
    bytes.resize(1 + 2 * 1536, 0);
    for command in commands {
        message::push(3, kind::COMMAND, 0, &command.payload(), 128, &mut bytes);
    }
    server.receive(&bytes, &mut Vec::new()).map(|(_, heard)| heard)
}

fn call(name: &str, stream: &str) -> Command {
    Command::new(name, 2.0, vec![Value::Null, Value::Text(stream.to_owned())])
}

fn hello(tc_url: &str) -> Command {
    Command::new("connect", 1.0, vec![Value::texts(&[("app", "live"), ("tcUrl", tc_url)])])
}

#[test]
fn publishers_of_both_forms_are_heard() {
    let connect = hello("rtmp://h/live?token=T");
    let Ok(Heard::Ask(flash)) = heard(&[connect.clone(), call("publish", "cam")]) else { panic!("no wish") };
    assert_eq!((flash.form, flash.identity.credential.as_deref()), (Form::Flash, Some("T")));
    let fmle = [
        hello("rtmp://h/live"),
        call("releaseStream", "cam?token=K"),
        call("FCPublish", "cam"),
        call("publish", "cam"),
    ];
    let Ok(Heard::Ask(fmle)) = heard(&fmle) else { panic!("no wish") };
    assert_eq!((fmle.form, fmle.identity.credential.as_deref()), (Form::Fmle, Some("K")));
    let two = [connect, call("releaseStream", "cam"), call("publish", "other")];
    assert_eq!(heard(&two), Err(SessionError::TwoNames));
}

#[test]
fn what_comes_out_of_order_ends_it() {
    assert_eq!(heard(&[call("publish", "cam")]), Err(SessionError::NotConnected));
    let endless: Vec<_> = std::iter::once(hello("rtmp://h/live")).chain((0..200).map(|_| call("x", ""))).collect();
    assert_eq!(heard(&endless), Err(SessionError::Messages));
    assert_eq!(heard(&[hello("rtmp://h/app"), call("play", "cam")]), Err(SessionError::Identity(IdentityError::App)));
    let mut server = Server::new(Box::new([0; NOISE_LEN]));
    let mut bytes = vec![VERSION];
    bytes.resize(1 + 2 * 1536, 0);
    message::push(6, kind::VIDEO, 1, &[0x17, 0], 128, &mut bytes);
    assert_eq!(server.receive(&bytes, &mut Vec::new()), Err(SessionError::Early));
    assert!(matches!(server.receive(&[0xFF; 1], &mut Vec::new()), Err(SessionError::Chunk(_))));
}

#[test]
fn commands_during_the_relay_are_told_apart() {
    let mut answers = Vec::new();
    let mut after = |name: &str, role| {
        let payload = call(name, "cam").payload();
        let message = Message { header: message::header(3, kind::COMMAND, 1, &payload), payload };
        during(&message, role, &mut answers).unwrap()
    };
    assert_eq!(after("FCUnpublish", Role::Publish), After::Ended);
    assert_eq!(after("deleteStream", Role::Play), After::Ended);
    assert_eq!(after("publish", Role::Publish), After::Answered);
    assert_eq!(after("pause", Role::Play), After::Forward);
    assert_eq!(answers.len(), 4, "three to FCUnpublish, one to publish");
}

proptest! {
    #[test]
    fn no_bytes_break_either_side(bytes in prop::collection::vec(any::<u8>(), 0..300), shaken: bool) {
        let mut hello = vec![VERSION];
        hello.resize(1 + 2 * 1536, 0);
        let bytes = if shaken { [hello, bytes].concat() } else { bytes };
        drop(Server::new(Box::new([0; NOISE_LEN])).receive(&bytes, &mut Vec::new()));
        let mut out = Vec::new();
        drop(Client::new(plan(Role::Play, "x"), &[0; NOISE_LEN], &mut out).receive(&bytes, &mut out));
    }
}
