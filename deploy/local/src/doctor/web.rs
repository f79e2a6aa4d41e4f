//! What the public addresses and the services answer.

use super::facts::{Answer, Certificate, Path, Port, Service};
use crate::ready::root_cause;
use std::{net::SocketAddr, time::Duration};
use tokio::net::{TcpStream, UdpSocket};

/// Longest wait for one answer.
const ASK_FOR: Duration = Duration::from_secs(4);
/// How long a UDP port has to say that nobody is there.
const UDP_FOR: Duration = Duration::from_millis(700);
/// Ports that strangers must not reach, at the public address.
const PRIVATE: [(&str, u16); 4] = [("SRS's API", 1985), ("Postgres", 5432), ("Redis", 6379), ("control-api", 8081)];
/// RFC 8489: a binding request without attributes.
const BINDING: [u8; 20] =
    [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, b'k', b'e', b'y', b's', b't', b'o', b'n', b'e', b'd', b'o', b'c', b't'];

/// A client for these questions.
pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(ASK_FOR)
        .tls_info(true)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a plain client can be built")
}

/// The certificate of an https origin, verified as a browser would.
pub(super) async fn certificate(http: &reqwest::Client, origin: &str) -> Answer<Certificate> {
    let answer = http.get(origin).send().await.map_err(|error| root_cause(&error))?;
    let info = answer.extensions().get::<reqwest::tls::TlsInfo>();
    let der = info.and_then(reqwest::tls::TlsInfo::peer_certificate).ok_or("the connection shows no certificate")?;
    let not_after = super::certificate::not_after(der).ok_or("its certificate cannot be read")?;
    Ok(Certificate { not_after })
}

/// Asks every public path that has to lead somewhere, or nowhere.
pub(super) async fn paths(http: &reqwest::Client, origin: &str, api: &str) -> Vec<Path> {
    let wanted: [(&'static str, String, &'static [u16]); 7] = [
        ("the page", "/".to_owned(), &[200]),
        ("the API", format!("{api}/healthz"), &[200]),
        ("an edge, under /rtc", "/rtc/v1/whip/doctor".to_owned(), &[200, 204, 401, 404, 405]),
        ("hooks are private", format!("{api}/v1/hooks/srs/doctor/doctor"), &[404]),
        ("internal routes are private", format!("{api}/internal/v1/route/doctor"), &[404]),
        ("metrics are private", format!("{api}/metrics"), &[404]),
        ("edges' hooks are private", "/rtc/v1/hooks/srs/doctor/doctor".to_owned(), &[404]),
    ];
    let mut asked = Vec::new();
    for (what, path, wanted) in wanted {
        let url = format!("{}{path}", origin.trim_end_matches('/'));
        let got = status(http, &url).await;
        asked.push(Path { what, url, wanted, got });
    }
    asked
}

async fn status(http: &reqwest::Client, url: &str) -> Answer<u16> {
    http.get(url).send().await.map(|answer| answer.status().as_u16()).map_err(|error| root_cause(&error))
}

/// Asks a service's process, and how far its clock is ahead.
pub(super) async fn service(http: &reqwest::Client, mut service: Service) -> (Service, Option<i64>) {
    let mut ahead = None;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = http.get(format!("{}{path}", service.url.trim_end_matches('/'))).send().await;
        if let Ok(answer) = &answer {
            ahead = ahead.or_else(|| date(answer));
        }
        service.answers.push((path, answer.map(|answer| answer.status().as_u16()).map_err(|error| root_cause(&error))));
    }
    (service, ahead)
}

/// How far the clock behind a `Date` header is ahead; it has whole seconds only.
fn date(answer: &reqwest::Response) -> Option<i64> {
    let text = answer.headers().get(reqwest::header::DATE)?.to_str().ok()?;
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let at = time::PrimitiveDateTime::parse(text, format).ok()?.assume_utc().unix_timestamp();
    let ahead = at.saturating_mul(1000).saturating_add(500).saturating_sub(super::stores::now_ms());
    Some(if ahead.abs() <= 1000 { 0 } else { ahead })
}

/// Knocks at TCP ports that must be open.
pub(super) async fn open_tcp(what: String, host: &str, port: u16) -> Port {
    Port { what, at: format!("{host}:{port}/tcp"), open: true, got: tcp(host, port).await }
}

/// Knocks at a UDP port that must be open: a closed one is told by its machine, an open one mostly says nothing.
pub(super) async fn open_udp(what: String, host: &str, port: u16) -> Port {
    Port { what, at: format!("{host}:{port}/udp"), open: true, got: udp(host, port).await }
}

/// Knocks at ports that must be closed.
pub(super) async fn closed(host: &str) -> Vec<Port> {
    let mut knocked = Vec::new();
    for (what, port) in PRIVATE {
        let got = tcp(host, port).await;
        knocked.push(Port { what: what.to_owned(), at: format!("{host}:{port}/tcp"), open: false, got });
    }
    knocked
}

async fn tcp(host: &str, port: u16) -> Answer<bool> {
    match tokio::time::timeout(ASK_FOR, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(false),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}

async fn udp(host: &str, port: u16) -> Answer<bool> {
    let text = |error: std::io::Error| error.to_string();
    let at: SocketAddr =
        tokio::net::lookup_host((host, port)).await.map_err(text)?.next().ok_or("its name has no address")?;
    let own: SocketAddr = if at.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(own).await.map_err(text)?;
    socket.connect(at).await.map_err(text)?;
    let mut answer = [0; 64];
    for _ in 0..2 {
        match socket.send(&BINDING).await {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(false),
            Err(error) => return Err(error.to_string()),
            Ok(_) => {}
        }
        match tokio::time::timeout(UDP_FOR, socket.recv(&mut answer)).await {
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(false),
            Ok(Err(error)) => return Err(error.to_string()),
            Ok(Ok(_)) => return Ok(true),
            Err(_) => {}
        }
    }
    // Nobody refused: something listens there, or a firewall keeps it quiet.
    Ok(true)
}
