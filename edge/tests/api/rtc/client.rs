//! A client of the relay: one socket, and the ICE credentials of an answer.

use crate::helpers::{Opened, sdp::value};
use proto::wire::stun::{Class, IntegrityKey, Message, Writer, kind};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::UdpSocket, time::timeout};

/// How long a datagram may take over loopback.
const WITHIN: Duration = Duration::from_secs(5);
/// How long silence is listened to.
const QUIET: Duration = Duration::from_millis(200);

pub(super) struct Client {
    pub(super) socket: UdpSocket,
    pub(super) to: SocketAddr,
    pub(super) ufrag: String,
    pub(super) password: String,
}

impl Client {
    /// One that goes where the answer's first candidate says.
    pub(super) async fn of(opened: &Opened) -> Self {
        let line = value(&opened.answer, "a=candidate:").unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[2], "udp");
        let to = SocketAddr::new(words[4].parse().unwrap(), words[5].parse().unwrap());
        let any = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        Self {
            socket: UdpSocket::bind(any).await.unwrap(),
            to,
            ufrag: value(&opened.answer, "a=ice-ufrag:").unwrap().to_owned(),
            password: value(&opened.answer, "a=ice-pwd:").unwrap().to_owned(),
        }
    }

    /// The bytes of a check.
    pub(super) fn check_bytes(&self, number: u8, nominates: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::binding(Class::Request, &[number; 12], &mut bytes)
            .attribute(kind::USERNAME, format!("{}:peer", self.ufrag).as_bytes())
            .attribute(kind::PRIORITY, &[0x6e, 0, 1, 0xff])
            .attribute(kind::ICE_CONTROLLING, &[1; 8]);
        if nominates {
            writer = writer.attribute(kind::USE_CANDIDATE, &[]);
        }
        writer.integrity(&IntegrityKey::new(&self.password)).fingerprint();
        bytes
    }

    /// The same without a signature.
    pub(super) fn unsigned(&self, number: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let writer = Writer::binding(Class::Request, &[number; 12], &mut bytes);
        writer.attribute(kind::USERNAME, format!("{}:peer", self.ufrag).as_bytes()).fingerprint();
        bytes
    }

    pub(super) async fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.to).await.unwrap();
    }

    pub(super) async fn check(&self, number: u8, nominates: bool) {
        self.send(&self.check_bytes(number, nominates)).await;
    }

    pub(super) async fn receive(&self) -> Vec<u8> {
        let (bytes, from) = receive(&self.socket).await;
        assert_eq!(from, self.to, "answers come from the address that was asked");
        bytes
    }

    /// Awaits the answer to a check: signed, and with this client's own address.
    pub(super) async fn answered(&self, number: u8) {
        let bytes = self.receive().await;
        self.is_answer(&bytes, number, self.socket.local_addr().unwrap());
    }

    pub(super) fn is_answer(&self, bytes: &[u8], number: u8, mapped: SocketAddr) {
        let message = Message::parse(bytes).unwrap();
        assert!(message.is_success() && message.transaction() == [number; 12]);
        assert_eq!(message.verify(&IntegrityKey::new(&self.password)), Ok(()));
        assert_eq!(message.mapped(), Some(mapped));
    }
}

/// The next datagram and its sender.
pub(super) async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = vec![0; 2_048];
    let (len, from) = timeout(WITHIN, socket.recv_from(&mut bytes)).await.expect("a datagram comes").unwrap();
    bytes.truncate(len);
    (bytes, from)
}

/// Nothing that was not read yet is there, nor comes.
pub(super) async fn nothing_comes(socket: &UdpSocket) {
    let mut bytes = vec![0; 2_048];
    let came = timeout(QUIET, socket.recv_from(&mut bytes)).await;
    assert!(came.is_err(), "{:?}", came.map(|r| r.map(|(len, _)| len)));
}
