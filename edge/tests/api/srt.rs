//! SRT through the edge, between played callers and played nodes. Real ones are in the tests of the whole system.

mod caller;
mod hostile;
mod node;

use super::helpers::{World, until};
use caller::{Call, Caller, Open};
use node::{Behave, SrtNode};
use proto::{
    StreamId,
    event::Event,
    node::{Member, NodeAddresses},
    session::{EndReason, Protocol, Role},
    stream::Visibility,
    ticket::{Scope, Ticket},
};
use std::time::Duration;

/// A cluster whose nodes have these SRT ports; `true`: with a passphrase.
struct Srt {
    world: World,
    nodes: Vec<SrtNode>,
}

impl Srt {
    async fn with(ports: &[(Behave, bool)]) -> Self {
        let world = World::of_members(ports.len(), &[("EDGE_SRT_LISTEN", "127.0.0.1:0")]).await;
        let mut nodes = Vec::new();
        for (behave, _) in ports {
            nodes.push(SrtNode::start(*behave).await);
        }
        let mut members = world.members();
        for ((member, node), (_, encrypted)) in members.iter_mut().zip(&nodes).zip(ports) {
            let at =
                NodeAddresses { srt: Some(node.address.to_string()), srt_encrypted: *encrypted, ..member.at.clone() };
            *member = Member { at, ..member.clone() };
        }
        world.truth.members(&members);
        until("the ports are known", || async { world.metric("keystone_edge_membership_version").await == Some(2) })
            .await;
        Self { world, nodes }
    }

    async fn start() -> Self {
        Self::with(&[(Behave::Accept, false)]).await
    }

    async fn call(&self, stream_id: &str) -> Result<Open, u32> {
        Caller::call(self.world.srt(0), Call::plain(stream_id)).await
    }

    /// One that is let in.
    async fn open(&self, stream_id: &str) -> Open {
        self.call(stream_id).await.unwrap_or_else(|why| panic!("refused with {why}: {stream_id}"))
    }

    fn publish(&self, stream: &str) -> String {
        format!("#!::r=live/{stream},m=publish,token={}", self.world.stream_key(stream))
    }

    async fn refused(&self, stream_id: &str) -> u32 {
        self.call(stream_id).await.err().expect("it is refused")
    }

    /// A sample with one label.
    async fn counted(&self, name: &str, label: &str) -> u64 {
        let text = self.world.http.get(self.world.url("/metrics")).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(name) && line.contains(&format!("\"{label}\"")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    }
}

fn cam() -> StreamId {
    StreamId::parse("cam").unwrap()
}

#[actix_web::test]
async fn a_publisher_reaches_its_node_with_a_ticket_in_place_of_its_key() {
    let srt = Srt::start().await;
    let open = srt.open(&srt.publish("cam")).await;
    let seen = srt.nodes[0].seen();
    let (_, socket, stream_id, _) = &seen.conclusions[0];
    assert_eq!(*socket, open.caller.id, "socket ids are end to end");
    let ticket = stream_id.strip_prefix("#!::r=live/cam,m=publish,kst=").unwrap();
    let (node, service) = (&srt.world.node().node, &srt.world.node().run());
    let keyring = srt.world.truth.keyring();
    let ticket = Ticket::open(ticket, keyring, Scope { node, service, stream: &cam() }).unwrap();
    assert_eq!((ticket.role, ticket.protocol), (Role::Publish, Protocol::Srt));
    assert_eq!(ticket.client, Some("127.0.0.1".parse().unwrap()), "the caller's address, as the hook sees it");

    open.send(b"to the node").await;
    until("media arrives", || async { srt.nodes[0].seen().media == [b"to the node"] }).await;
    srt.nodes[0].send(b"to the caller").await;
    assert_eq!(open.media().await, b"to the caller");
    assert_eq!(srt.world.metric("keystone_edge_sessions").await, Some(1));

    open.shutdown().await;
    until("the node hears it", || async { srt.nodes[0].seen().shutdowns == 1 }).await;
    until("the session is over", || async { srt.world.metric("keystone_edge_sessions").await == Some(0) }).await;
    assert_eq!(srt.counted("keystone_edge_srt_ended_total", "caller_left").await, 1);
}

#[actix_web::test]
async fn a_burst_passes_whole_and_in_order() {
    let srt = Srt::start().await;
    let open = srt.open(&srt.publish("cam")).await;
    let sent: Vec<Vec<u8>> = (0..200_u16).map(|n| [n.to_be_bytes().as_slice(), &[0x47; 1314]].concat()).collect();
    // As many at once as a socket's default queue holds.
    for (wave, media) in sent.chunks(40).enumerate() {
        for one in media {
            open.send(one).await;
        }
        until("the wave is there", || async { srt.nodes[0].seen().media.len() == (wave + 1) * 40 }).await;
    }
    open.send(b"a shorter one").await;
    until("all is there", || async { srt.nodes[0].seen().media.len() == 201 }).await;
    let seen = srt.nodes[0].seen().media;
    assert!(seen[..200] == sent[..] && seen[200] == b"a shorter one");
    for wave in sent.chunks(40) {
        for media in wave {
            srt.nodes[0].send(media).await;
        }
        for media in wave {
            assert_eq!(&open.media().await, media);
        }
    }
}

#[actix_web::test]
async fn viewers_follow_what_came_by_srt_and_only_that() {
    let srt = Srt::start().await;
    assert_eq!(srt.refused("#!::r=live/cam,m=request").await, 1404, "nobody publishes");
    let _publisher = srt.open(&srt.publish("cam")).await;
    let viewer = srt.open("#!::r=live/cam,m=request").await;
    let seen = srt.nodes[0].seen();
    assert!(seen.conclusions[1].2.starts_with("#!::r=live/cam,m=request,kst="));
    assert_eq!(seen.callers().len(), 2, "each caller has a socket of its own towards the node");
    srt.nodes[0].send(b"seen").await;
    assert_eq!(viewer.media().await, b"seen");

    let other = srt.world.truth.add_stream("other", Visibility::Public);
    let (node, service) = (srt.world.node().node.clone(), srt.world.node().run());
    srt.world.truth.go_live(&other, &node, &service, 1, proto::SessionId::from_bytes([9; 16]));
    assert_eq!(srt.refused("live/other").await, 1415, "it came by WebRTC");
}

#[actix_web::test]
async fn each_refusal_has_its_reason() {
    let srt = Srt::start().await;
    srt.world.truth.add_stream("private", Visibility::Private);
    let key = srt.world.stream_key("cam");
    assert_eq!(srt.refused("#!::r=live/cam,m=publish").await, 1401, "no key");
    assert_eq!(srt.refused("#!::r=live/cam,m=publish,token=sk_cam_x").await, 1401, "a wrong key");
    assert_eq!(srt.refused("live/private").await, 1401, "a private stream without a token");
    assert_eq!(srt.refused(&format!("#!::r=live/private,m=publish,token={key}")).await, 1403, "another stream's key");
    assert_eq!(srt.refused("live/nobody").await, 1404, "no such stream");
    assert_eq!(srt.refused("").await, 1400);
    assert_eq!(srt.refused("#!::r=other/cam").await, 1400);
    assert_eq!(srt.refused("#!::r=live/cam,m=play").await, 1405);
    let old = Call { version: 4, ..Call::plain("live/cam") };
    assert_eq!(Caller::call(srt.world.srt(0), old).await.err(), Some(8), "an old handshake");
    let _publisher = srt.open(&srt.publish("cam")).await;
    assert_eq!(srt.refused(&srt.publish("cam")).await, 1409, "somebody publishes");
    let again = format!("{},takeover=1", srt.publish("cam"));
    assert!(srt.call(&again).await.is_ok(), "unless it takes over");
}

#[actix_web::test]
async fn news_cut_both_sides_at_once() {
    let srt = Srt::start().await;
    let publisher = srt.open(&srt.publish("cam")).await;
    let viewer = srt.open("live/cam").await;
    let seen = srt.nodes[0].seen();
    let session = |index: usize| {
        let text = seen.conclusions[index].2.rsplit('=').next().unwrap().to_owned();
        let (node, service) = (&srt.world.node().node, &srt.world.node().run());
        Ticket::open(&text, srt.world.truth.keyring(), Scope { node, service, stream: &cam() }).unwrap().session
    };
    let reason = EndReason::Kicked;
    srt.world.truth.tell(&Event::SessionClosed { id: session(1), stream: cam(), owner: None, reason });
    assert!(viewer.is_ended().await, "the viewer within a second");
    until("the node is told too", || async { srt.nodes[0].seen().shutdowns == 1 }).await;
    viewer.send(b"still here").await;
    assert!(viewer.is_ended().await, "a caller that goes on is told again");
    publisher.send(b"on").await;
    until("the publisher goes on", || async { srt.nodes[0].seen().media == [b"on"] }).await;
    srt.world.truth.void(&cam());
    assert!(publisher.is_ended().await, "its claim is void");
    until("none is left", || async { srt.world.metric("keystone_edge_sessions").await == Some(0) }).await;
    assert_eq!(srt.counted("keystone_edge_srt_ended_total", "cut").await, 2);
}

#[actix_web::test]
async fn the_nodes_end_is_the_callers() {
    let srt = Srt::start().await;
    let open = srt.open(&srt.publish("cam")).await;
    srt.nodes[0].shutdown().await;
    assert!(open.is_ended().await);
    until("the session is over", || async { srt.world.metric("keystone_edge_sessions").await == Some(0) }).await;
    assert_eq!(srt.counted("keystone_edge_srt_ended_total", "node_ended").await, 1);
}

#[actix_web::test]
async fn an_edge_that_ends_tells_its_callers() {
    let srt = Srt::start().await;
    let open = srt.open(&srt.publish("cam")).await;
    srt.world.stop(0);
    assert!(open.is_ended().await);
    until("the node hears it", || async { srt.nodes[0].seen().shutdowns == 1 }).await;
}

#[actix_web::test]
async fn a_node_that_does_not_answer_is_followed_by_the_next() {
    let srt = Srt::with(&[(Behave::Accept, false), (Behave::Accept, false)]).await;
    for name in ["a", "b", "c", "d"] {
        srt.world.truth.add_stream(name, Visibility::Public);
    }
    let mut members = srt.world.members();
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (member, address) in members.iter_mut().zip([gone, srt.nodes[1].address]) {
        member.at.srt = Some(address.to_string());
    }
    srt.world.truth.members(&members);
    until("known", || async { srt.world.metric("keystone_edge_membership_version").await == Some(3) }).await;
    for name in ["a", "b", "c", "d"] {
        assert!(srt.call(&srt.publish(name)).await.is_ok(), "{name}");
    }
    assert_eq!(srt.nodes[1].seen().callers().len(), 4);
    assert!(srt.counted("keystone_edge_srt_handshakes_total", "again").await >= 1, "the first was tried");
}

#[actix_web::test]
async fn a_node_s_own_refusal_reaches_the_caller_and_nothing_is_held() {
    let srt = Srt::with(&[(Behave::Refuse(11), false)]).await;
    assert_eq!(srt.refused(&srt.publish("cam")).await, 11);
    until("its reservation is released", || async { !srt.world.truth.claimed(&cam()) }).await;
    let srt = Srt::with(&[(Behave::Silent, false)]).await;
    assert_eq!(srt.refused(&srt.publish("cam")).await, 1503);
    until("its reservation is released", || async { !srt.world.truth.claimed(&cam()) }).await;
}

#[actix_web::test]
async fn a_lost_answer_is_asked_for_again_and_nothing_starts_twice() {
    let srt = Srt::with(&[(Behave::Lose(2), false)]).await;
    let open = srt.open(&srt.publish("cam")).await;
    open.send(b"x").await;
    until("media arrives", || async { srt.nodes[0].seen().media == [b"x"] }).await;
    let seen = srt.nodes[0].seen();
    assert!(seen.conclusions.len() >= 3);
    assert_eq!(seen.callers().len(), 1, "one socket towards the node");
    let first = &seen.conclusions[0].2;
    assert!(seen.conclusions.iter().all(|(_, _, text, _)| text == first), "one ticket");
}

#[actix_web::test]
async fn callers_with_a_passphrase_go_to_nodes_with_one_and_others_do_not() {
    let srt = Srt::with(&[(Behave::Accept, false), (Behave::Accept, true)]).await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        srt.world.truth.add_stream(name, Visibility::Public);
        let stream_id = srt.publish(name);
        let encrypted = matches!(name, "a" | "c" | "e");
        let call = Call { encrypted, ..Call::plain(&stream_id) };
        assert!(Caller::call(srt.world.srt(0), call).await.is_ok(), "{name}");
    }
    assert!(srt.nodes[0].seen().conclusions.iter().all(|(.., encrypted)| !encrypted));
    assert!(srt.nodes[1].seen().conclusions.iter().all(|(.., encrypted)| *encrypted));
    assert_eq!((srt.nodes[0].seen().callers().len(), srt.nodes[1].seen().callers().len()), (3, 3));
    assert_eq!(srt.refused("live/a").await, 11, "a viewer without the passphrase");
    let viewer = Call { encrypted: true, ..Call::plain("live/a") };
    assert!(Caller::call(srt.world.srt(0), viewer).await.is_ok());

    let plain = Srt::start().await;
    let stream_id = plain.publish("cam");
    let call = Call { encrypted: true, ..Call::plain(&stream_id) };
    assert_eq!(Caller::call(plain.world.srt(0), call).await.err(), Some(11), "no node has a passphrase");
}

#[actix_web::test]
async fn any_edge_concludes_what_another_induced() {
    let mut srt = Srt::start().await;
    let second = srt.world.add_edge().await;
    let caller = Caller::new(srt.world.srt(0)).await;
    let cookie = caller.cookie().await;
    // The load balancer sends the second packet of the same address and port elsewhere.
    caller.udp.connect(srt.world.srt(second)).await.unwrap();
    let stream_id = srt.publish("cam");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    loop {
        caller.udp.send(&caller.conclusion(&Call::plain(&stream_id), cookie)).await.unwrap();
        let Some(answer) = caller.hear(Duration::from_millis(250)).await else {
            assert!(tokio::time::Instant::now() < deadline, "no answer");
            continue;
        };
        let read = proto::wire::srt::Handshake::read(&answer).unwrap();
        assert_eq!(read.kind, proto::wire::srt::Kind::Conclusion);
        break;
    }
}
