//! RTMP through the edge: publishers and players of every form, refusals in words, the relay, and what hostile clients get.

use super::helpers::{
    World,
    rtmp::{Caller, KEY_FRAME, Manner},
    until,
};
use proto::{
    StreamId,
    event::Event,
    session::{EndReason, Role},
    wire::{
        proxy::SIGNATURE,
        rtmp::{
            amf0::Value,
            handshake::{ANSWER_LEN, VERSION},
            message::{Command, kind},
            session::Hearing,
        },
    },
};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const TC_URL: &str = "rtmp://edge.example/live";

#[actix_web::test]
async fn a_publisher_s_media_reaches_the_node_as_it_was_sent() {
    let (world, nodes) = World::with_rtmp(1, &[]).await;
    let mut caller = world.publish_rtmp().await;
    caller.chunk_size(4096).await;
    for frame in 0..50_u32 {
        let video = vec![u8::try_from(frame).unwrap(); 9000];
        caller.send(6, frame * 40, kind::VIDEO, &video).await.unwrap();
        caller.send(4, frame * 40 + 5, kind::AUDIO, &[0xAF; 200]).await.unwrap();
        if frame == 25 {
            caller.chunk_size(60_000).await;
        }
    }
    until("all of it is there", || async { nodes[0].media().len() == 100 }).await;
    for (at, message) in nodes[0].media().iter().enumerate() {
        let frame = u32::try_from(at / 2).unwrap();
        let (stamp, len) = if at % 2 == 0 { (frame * 40, 9000) } else { (frame * 40 + 5, 200) };
        assert_eq!((message.header.timestamp, message.payload.len()), (stamp, len));
        assert!(at % 2 == 1 || message.payload.iter().all(|byte| u32::from(*byte) == frame));
    }
    let names = nodes[0].names();
    assert_eq!(names.len(), 3, "releaseStream, FCPublish and publish");
    assert!(names.iter().all(|name| *name == names[0] && name.starts_with("cam?kst=") && !name.contains("token")));
}

#[actix_web::test]
async fn the_end_of_a_publisher_frees_its_stream() {
    let (world, nodes) = World::with_rtmp(1, &[]).await;
    let caller = world.publish_rtmp().await;
    let cam = StreamId::parse("cam").unwrap();
    assert!(world.truth.claimed(&cam));
    drop(caller);
    until("the node is told", || async { nodes[0].closed() == 1 && nodes[0].unpublished() > 0 }).await;
    until("the claim is gone", || async { !world.truth.claimed(&cam) }).await;
    world.publish_rtmp().await;
}

#[actix_web::test]
async fn a_player_hears_of_success_only_when_the_node_has_let_it_in() {
    let (world, _nodes) = World::with_rtmp(1, &[]).await;
    let _publisher = world.publish_rtmp().await;
    let mut player = Caller::connect(world.rtmp(), Role::Play, TC_URL, "cam").await.accepted();
    for _ in 0..20 {
        let message = player.next().await.unwrap();
        assert_eq!((message.header.kind, message.payload.as_slice()), (kind::VIDEO, KEY_FRAME.as_slice()));
    }
    let metrics = world.http.get(world.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("keystone_edge_rtmp_streams{role=\"play\"} 1"), "{metrics}");
    assert!(metrics.contains("keystone_edge_rtmp_connections{transport=\"tcp\"} 2"));
}

#[actix_web::test]
async fn refusals_are_told_in_words() {
    let (world, nodes) = World::with_rtmp(1, &[]).await;
    let publish = |name: &str| {
        let (at, name) = (world.rtmp(), name.to_owned());
        async move { Caller::connect(at, Role::Publish, TC_URL, &name).await }
    };
    let caller = publish("cam").await;
    assert_eq!(caller.refusal().0, "NetStream.Publish.Denied");
    assert!(caller.refusal().1.contains("put ?token="), "{:?}", caller.refusal());
    let caller = publish("cam?token=sk_cam_x").await;
    assert_eq!(caller.refusal(), ("NetStream.Publish.Denied", "the token or stream key is not valid (token-invalid)"));
    let caller = Caller::connect(world.rtmp(), Role::Play, TC_URL, "cam").await;
    assert_eq!(caller.refusal().0, "NetStream.Play.StreamNotFound");
    let caller = Caller::connect(world.rtmp(), Role::Publish, "rtmp://h/other", "cam").await;
    assert_eq!(caller.refusal().0, "NetConnection.Connect.Rejected");
    let _publisher = world.publish_rtmp().await;
    let caller = publish(&format!("cam?token={}", world.stream_key("cam"))).await;
    assert_eq!(caller.refusal().0, "NetStream.Publish.BadName", "somebody publishes");
    nodes[0].manner(Manner::Deny);
    let caller = Caller::connect(world.rtmp(), Role::Play, TC_URL, "cam").await;
    assert_eq!(caller.refusal().0, "NetStream.Play.Failed", "the node hung up after it had said Play.Start");
}

#[actix_web::test]
async fn every_place_for_a_credential_is_looked_at() {
    let (world, _nodes) = World::with_rtmp(1, &[]).await;
    let key = world.stream_key("cam");
    for (tc_url, name) in [
        (TC_URL.to_owned(), format!("cam?token={key}")),
        (TC_URL.to_owned(), format!("cam?key={key}")),
        (format!("{TC_URL}?token={key}"), "cam".to_owned()),
        (TC_URL.to_owned(), key.clone()),
        (format!("{TC_URL}/cam?token={key}"), String::new()),
    ] {
        let caller = Caller::connect(world.rtmp(), Role::Publish, &tc_url, &name).await.accepted();
        drop(caller);
        let cam = StreamId::parse("cam").unwrap();
        until("the stream is free again", || async { !world.truth.claimed(&cam) }).await;
    }
}

#[actix_web::test]
async fn a_connection_may_publish_again_after_it_has_stopped() {
    let (world, nodes) = World::with_rtmp(1, &[]).await;
    let mut caller = world.publish_rtmp().await;
    caller.send(6, 0, kind::VIDEO, &[0x17, 1]).await.unwrap();
    until("the first is there", || async { nodes[0].media().len() == 1 }).await;
    caller.command(&Command::new("FCUnpublish", 7.0, vec![Value::Null, Value::Text("cam".into())])).await;
    caller.command(&Command::new("deleteStream", 8.0, vec![Value::Null, Value::Number(1.0)])).await;
    let cam = StreamId::parse("cam").unwrap();
    until("the claim is gone", || async { !world.truth.claimed(&cam) }).await;
    let name = format!("cam?token={}", world.token("cam", Role::Publish));
    let call = |name: &str, number, text: &str| Command::new(name, number, vec![Value::Null, Value::Text(text.into())]);
    caller.command(&call("releaseStream", 9.0, &name)).await;
    caller.command(&call("publish", 10.0, &name)).await;
    let mut codes = Vec::new();
    while codes.last().map(String::as_str) != Some("NetStream.Publish.Start") || codes.len() < 4 {
        let message = caller.next().await.expect("the connection lives on");
        let command = Command::read(message.header.kind, &message.payload).unwrap();
        if command.name.starts_with("on") {
            codes.push(command.told().1.to_owned());
        }
    }
    assert_eq!(codes[..2], ["NetStream.Unpublish.Success"; 2]);
    caller.send(6, 40, kind::VIDEO, &[0x17, 1]).await.unwrap();
    until("the second is there", || async { nodes[0].media().len() == 2 }).await;
    assert_eq!(nodes[0].closed(), 1);
}

#[actix_web::test]
async fn a_kick_cuts_both_within_a_second_and_says_so() {
    let (world, nodes) = World::with_rtmp(1, &[]).await;
    let mut publisher = world.publish_rtmp().await;
    let mut player = Caller::connect(world.rtmp(), Role::Play, TC_URL, "cam").await.accepted();
    let began = Instant::now();
    for id in world.truth.sessions() {
        let (stream, reason) = (StreamId::parse("cam").unwrap(), EndReason::Kicked);
        world.truth.tell(&Event::SessionClosed { id, stream, owner: None, reason });
    }
    let (of_publisher, of_player) = (publisher.last_words().await, player.last_words().await);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let (level, code, words) = of_publisher.last().unwrap();
    assert_eq!((level.as_str(), code.as_str()), ("error", "NetStream.Unpublish.Success"));
    assert!(words.contains("kicked"));
    assert_eq!(of_player.last().unwrap().1, "NetStream.Play.Stop");
    until("the node has nobody", || async { nodes[0].closed() == 2 }).await;
}

#[actix_web::test]
async fn commands_of_a_player_reach_the_node() {
    let (world, nodes) = World::with_rtmp(1, &[]).await;
    let _publisher = world.publish_rtmp().await;
    let mut player = Caller::connect(world.rtmp(), Role::Play, TC_URL, "cam").await.accepted();
    player.command(&Command::new("pause", 9.0, vec![Value::Null, Value::Boolean(true)])).await;
    until("the node hears it", || async { nodes[0].commands() == ["pause"] }).await;
}

#[actix_web::test]
async fn a_proxy_that_is_trusted_says_who_the_client_is() {
    let (world, _nodes) = World::with_rtmp(1, &[]).await;
    let bound = world.token_with("cam", Role::Publish, |claims| claims.ip = Some("203.0.113.5".parse().unwrap()));
    let name = format!("cam?token={bound}");
    let direct = Caller::connect(world.rtmp(), Role::Publish, TC_URL, &name).await;
    assert!(direct.refusal().1.contains("another address"));
    let mut stream = TcpStream::connect(world.rtmp()).await.unwrap();
    let header = [SIGNATURE.as_slice(), &[0x21, 0x11, 0, 12, 203, 0, 113, 5, 10, 0, 0, 1, 0x30, 0x39, 7, 143]].concat();
    let (first, second) = header.split_at(5);
    stream.write_all(first).await.unwrap();
    stream.write_all(second).await.unwrap();
    Caller::over(stream, Role::Publish, TC_URL, &name).await.accepted();
}

#[actix_web::test]
async fn rtmps_is_the_same_behind_tls() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
    let (cert, key) = (format!("{fixtures}/server.pem"), format!("{fixtures}/server.key"));
    let settings =
        [("RTMP_TLS_CERT", cert.as_str()), ("RTMP_TLS_KEY", key.as_str()), ("EDGE_RTMPS_LISTEN", "127.0.0.1:0")];
    let (world, nodes) = World::with_rtmp(1, &settings).await;
    let config = kit::tls::client_config(Some(format!("{fixtures}/ca.pem").as_ref())).unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = TcpStream::connect(world.rtmps()).await.unwrap();
    let stream = connector.connect("edge.example".try_into().unwrap(), stream).await.unwrap();
    let name = format!("cam?token={}", world.token("cam", Role::Publish));
    let mut caller = Caller::over(stream, Role::Publish, TC_URL, &name).await;
    assert!(matches!(caller.heard, Hearing::Accepted(_)), "{:?}", caller.heard);
    caller.send(6, 0, kind::VIDEO, &[0x17; 100_000]).await.unwrap();
    caller.stream.flush().await.unwrap();
    until("media is there", || async { nodes[0].media().len() == 1 }).await;
    let mut plain = TcpStream::connect(world.rtmps()).await.unwrap();
    plain.write_all(&[VERSION; 2000]).await.unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer).await);
    assert!(answer.len() < 100, "no RTMP without TLS there");
}

/// What a client that sends these bytes after a handshake is told, and how long it took.
async fn told(world: &World, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.rtmp()).await.unwrap();
    stream.write_all(&[VERSION; 1 + 2 * 1536]).await.unwrap();
    let mut answer = vec![0; ANSWER_LEN];
    stream.read_exact(&mut answer).await.unwrap();
    // It may be refused before it has said all.
    stream.write_all(bytes).await.ok();
    let mut words = Vec::new();
    tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut words)).await.expect("it is closed").ok();
    String::from_utf8_lossy(&words).into_owned()
}

#[actix_web::test]
async fn hostile_messages_end_with_a_word() {
    let (world, _nodes) = World::with_rtmp(1, &[]).await;
    let chunk_size = [2, 0, 0, 0, 0, 0, 4, kind::CHUNK_SIZE, 0, 0, 0, 0, 0x80, 0, 0, 0];
    assert!(told(&world, &chunk_size).await.contains("a chunk size of 2147483648"));
    let long = [3, 0, 0, 0, 0xFF, 0xFF, 0xFF, kind::COMMAND, 0, 0, 0, 0];
    assert!(told(&world, &long).await.contains("a message of 16777215 bytes"));
    // Nested objects, as many as a command may hold.
    let mut nested = vec![2, 0, 7];
    nested.extend_from_slice(b"connect");
    nested.extend_from_slice(&[0, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0]);
    nested.extend([3, 0, 1, b'a'].repeat(4000));
    let mut bytes = vec![2, 0, 0, 0, 0, 0, 4, kind::CHUNK_SIZE, 0, 0, 0, 0, 0, 0, 0xEA, 0x60];
    let len = u32::try_from(nested.len()).unwrap().to_be_bytes();
    bytes.extend_from_slice(&[3, 0, 0, 0, len[1], len[2], len[3], kind::COMMAND, 0, 0, 0, 0]);
    bytes.extend_from_slice(&nested);
    assert!(told(&world, &bytes).await.contains("nested deeper"));
    let metrics = world.http.get(world.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("keystone_edge_rtmp_refused_total{reason=\"protocol\"} 3"), "{metrics}");
}

#[actix_web::test]
async fn another_protocol_and_a_slow_hand_are_let_go() {
    let (world, _nodes) = World::with_rtmp(1, &[]).await;
    let mut stream = TcpStream::connect(world.rtmp()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    assert!(answer.is_empty());
    // One byte at a time: five seconds for the whole handshake, however many come.
    let mut slow = TcpStream::connect(world.rtmp()).await.unwrap();
    let began = Instant::now();
    let mut sink = [0; 16];
    loop {
        let wrote = slow.write_all(&[VERSION]).await;
        let read = tokio::time::timeout(Duration::from_millis(200), slow.read(&mut sink)).await;
        if wrote.is_err() || matches!(read, Ok(Ok(0) | Err(_))) {
            break;
        }
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

#[actix_web::test]
async fn half_open_connections_of_one_address_leave_room_for_others() {
    // Loopback is a proxy's address by default.
    let (world, _nodes) = World::with_rtmp(1, &[("TRUSTED_PROXIES", "192.0.2.1")]).await;
    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(TcpStream::connect(world.rtmp()).await.unwrap());
    }
    until("the rest is refused", || async {
        let metrics = world.http.get(world.url("/metrics")).send().await.unwrap().text().await.unwrap();
        metrics.contains("keystone_edge_rtmp_refused_total{reason=\"address\"} 150")
    })
    .await;
    drop(open);
    until("the address has its room again", || async {
        let name = format!("cam?token={}", world.token("cam", Role::Publish));
        matches!(Caller::connect(world.rtmp(), Role::Publish, TC_URL, &name).await.heard, Hearing::Accepted(_))
    })
    .await;
}

#[actix_web::test]
async fn an_edge_that_ends_tells_its_clients() {
    let (world, _nodes) = World::with_rtmp(1, &[]).await;
    let mut publisher = world.publish_rtmp().await;
    world.stop(0);
    let words = publisher.last_words().await;
    assert!(words.last().unwrap().2.contains("about to end"), "{words:?}");
}
