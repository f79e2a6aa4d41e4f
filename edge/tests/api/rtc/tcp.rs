//! ICE over TCP: the same session through a connection.

use super::{
    client::{Client, receive},
    dropped, node_answers, relayed, rtp,
};
use crate::helpers::{World, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Duration, timeout},
};

const WITHIN: Duration = Duration::from_secs(5);

fn frame(datagram: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(datagram.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(datagram);
    bytes
}

async fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let read = async {
        let length = stream.read_u16().await.unwrap();
        let mut bytes = vec![0; usize::from(length)];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    };
    timeout(WITHIN, read).await.expect("a frame comes")
}

async fn is_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let end = timeout(Duration::from_secs(8), stream.read_to_end(&mut rest)).await.expect("it is closed");
    assert!(rest.is_empty() && end.is_ok_and(|len| len == 0) || rest.is_empty());
}

async fn none_left(world: &World) {
    until("no connection is left", || async { world.metric("keystone_edge_rtc_connections").await == Some(0) }).await;
}

#[actix_web::test]
async fn frames_become_datagrams_and_back() {
    let (world, opened) = relayed().await;
    let client = Client::of(&opened).await;
    let mut stream = TcpStream::connect(client.to).await.unwrap();
    let own = stream.local_addr().unwrap();
    // In two pieces, the first of which ends inside the length.
    let check = frame(&client.check_bytes(1, true));
    stream.write_all(&check[..1]).await.unwrap();
    stream.flush().await.unwrap();
    stream.write_all(&check[1..]).await.unwrap();
    let upstream = node_answers(&world, &client.password).await;
    client.is_answer(&read_frame(&mut stream).await, 1, own);
    let burst: Vec<Vec<u8>> = (0..50_u8).map(|n| rtp(n, 100 + usize::from(n) * 20)).collect();
    let wire: Vec<u8> = burst.iter().flat_map(|packet| frame(packet)).collect();
    stream.write_all(&wire).await.unwrap();
    for packet in &burst {
        assert_eq!(receive(&world.node().rtc).await, (packet.clone(), upstream));
        world.node().rtc.send_to(packet, upstream).await.unwrap();
        assert_eq!(read_frame(&mut stream).await, *packet);
    }
    drop(stream);
    none_left(&world).await;
}

#[actix_web::test]
async fn udp_and_tcp_are_two_paths_of_one_session() {
    let (world, opened) = relayed().await;
    let client = Client::of(&opened).await;
    client.check(1, true).await;
    let upstream = node_answers(&world, &client.password).await;
    client.answered(1).await;
    let mut stream = TcpStream::connect(client.to).await.unwrap();
    let own = stream.local_addr().unwrap();
    stream.write_all(&frame(&client.check_bytes(2, false))).await.unwrap();
    assert_eq!(node_answers(&world, &client.password).await, upstream, "one port at the node");
    client.is_answer(&read_frame(&mut stream).await, 2, own);
    world.node().rtc.send_to(&rtp(1, 60), upstream).await.unwrap();
    assert_eq!(client.receive().await, rtp(1, 60), "media stays where it was nominated");
    stream.write_all(&frame(&client.check_bytes(3, true))).await.unwrap();
    node_answers(&world, &client.password).await;
    client.is_answer(&read_frame(&mut stream).await, 3, own);
    world.node().rtc.send_to(&rtp(2, 60), upstream).await.unwrap();
    assert_eq!(read_frame(&mut stream).await, rtp(2, 60));
    drop(stream);
    none_left(&world).await;
    world.node().rtc.send_to(&rtp(3, 60), upstream).await.unwrap();
    assert_eq!(client.receive().await, rtp(3, 60), "back to what is left");
}

#[actix_web::test]
async fn whoever_does_not_prove_himself_first_is_closed() {
    let (world, opened) = relayed().await;
    let client = Client::of(&opened).await;
    let wrong = Client { password: "0123456789012345678901".into(), ..Client::of(&opened).await };
    let firsts = [
        frame(&rtp(1, 100)),
        frame(&wrong.check_bytes(1, true)),
        frame(&client.unsigned(1)),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 64],
        frame(&[]),
    ];
    for first in firsts {
        let mut stream = TcpStream::connect(client.to).await.unwrap();
        stream.write_all(&first).await.unwrap();
        is_closed(&mut stream).await;
    }
    // And whoever says nothing, after a while.
    is_closed(&mut TcpStream::connect(client.to).await.unwrap()).await;
    none_left(&world).await;
}

#[actix_web::test]
async fn a_crowd_that_says_nothing_keeps_nobody_out() {
    let (world, opened) = relayed().await;
    let client = Client::of(&opened).await;
    // More than all threads together hold without a check; the kernel shares connections out among them.
    let threads = std::thread::available_parallelism().unwrap().get().min(16);
    let mut crowd = Vec::new();
    for number in 0..1_024 * threads + 900 {
        // From many addresses: what one may do in a second is not what this is about.
        let from = [127, 0, 1, u8::try_from(number / 500 + 1).unwrap()];
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        crowd.push(socket.connect(client.to).await.unwrap());
    }
    until("the oldest make room", || async { dropped(&world, "full").await > 0 }).await;
    let mut stream = TcpStream::connect(client.to).await.unwrap();
    stream.write_all(&frame(&client.check_bytes(1, true))).await.unwrap();
    node_answers(&world, &client.password).await;
    client.is_answer(&read_frame(&mut stream).await, 1, stream.local_addr().unwrap());
}

#[actix_web::test]
async fn a_connection_ends_with_its_session() {
    let (world, opened) = relayed().await;
    let client = Client::of(&opened).await;
    let mut stream = TcpStream::connect(client.to).await.unwrap();
    stream.write_all(&frame(&client.check_bytes(1, true))).await.unwrap();
    node_answers(&world, &client.password).await;
    read_frame(&mut stream).await;
    assert_eq!(world.request(reqwest::Method::DELETE, &opened.url).send().await.unwrap().status(), 200);
    is_closed(&mut stream).await;
    none_left(&world).await;
}
