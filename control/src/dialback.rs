//! Dials a node back where it says it is, before it may join: each port is asked, all side by side, 1 s each.
//!
//! WebRTC cannot be proven this way: SRS 5.0.216 answers a STUN request only for a name it gave out, so silence and a firewall look alike. There a
//! closed port (the operating system says "refused") fails the check; silence passes, and the entry says so.

use crate::{
    app::State,
    domain::dialback::{
        RTMP_HELLO_BYTES, api_says, check, rtmp_answers, rtmp_hello, srt_answers, srt_hello, stun_answers, stun_hello,
        version_check,
    },
    srs::SrsError,
};
use proto::{
    api::NodeCheck,
    fleet::NodeInfo,
    node::{NodeAddresses, parse_endpoint},
    srs::api::Versions,
};
use std::{future::Future, io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket, lookup_host},
};

/// How long each port may take.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long a closed UDP port has to say so.
const SILENCE: Duration = Duration::from_millis(400);
/// Longest UDP answer that is read, in bytes.
const DATAGRAM_MAX: usize = 1_500;

/// Tries everything a node has an address for.
pub async fn dial(state: &State, info: &NodeInfo, at: Option<&NodeAddresses>) -> Vec<NodeCheck> {
    let Some(at) = at else {
        let why = "nobody knows where it is: set `ports on` in SRS's heartbeat, or give its addresses at enrolment";
        return vec![check("api", Err(why.to_owned()))];
    };
    let (api, http, rtmp, srt, rtc) = tokio::join!(
        api(state, info, &at.api),
        maybe("http", at.http.as_deref(), http),
        maybe("rtmp", at.rtmp.as_deref(), rtmp),
        maybe("srt", at.srt.as_deref(), srt),
        maybe("rtc", at.rtc.as_deref(), rtc),
    );
    let mut checks = api;
    checks.extend([http, rtmp, srt, rtc].into_iter().flatten());
    checks
}

async fn api(state: &State, info: &NodeInfo, at: &str) -> Vec<NodeCheck> {
    let allow_unknown = state.config.allow_unknown_srs;
    let base = format!("http://{at}");
    let asked = tokio::time::timeout(ANSWER_MAX, state.srs.versions(&base)).await;
    let answer = asked.unwrap_or_else(|_| Err(SrsError::Away("it took longer than 1 s".into())));
    match answer {
        Err(error) => {
            let why = format!("{at}: {}", kit::telemetry::chain(&error));
            vec![version_check(&info.version, allow_unknown), check("api", Err(why))]
        }
        Ok(Versions { head, data }) => {
            let version = if data.version.is_empty() { &info.version } else { &data.version };
            let says = api_says(&head, &info.id, &info.service).map(|()| "").map_err(|why| format!("{at}: {why}"));
            vec![version_check(version, allow_unknown), check("api", says)]
        }
    }
}

/// Within the time, and with the address in every failure.
async fn maybe<'a, F>(what: &str, at: Option<&'a str>, dial: impl FnOnce(&'a str) -> F) -> Option<NodeCheck>
where
    F: Future<Output = Result<&'static str, String>>,
{
    let at = at?;
    let answer = tokio::time::timeout(ANSWER_MAX, dial(at)).await;
    let answer = answer.unwrap_or_else(|_| Err("no answer within 1 s".to_owned()));
    Some(check(what, answer.map_err(|why| format!("{at}: {why}"))))
}

async fn http(at: &str) -> Result<&'static str, String> {
    connect(at).await.map(|_| "")
}

async fn connect(at: &str) -> Result<TcpStream, String> {
    let to = parse_endpoint(at).ok_or("no host:port")?;
    TcpStream::connect(to).await.map_err(|error| told(&error))
}

fn told(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::ConnectionRefused { "the port is closed".to_owned() } else { error.to_string() }
}

async fn rtmp(at: &str) -> Result<&'static str, String> {
    let mut stream = connect(at).await?;
    let hello: [u8; RTMP_HELLO_BYTES] = rtmp_hello();
    stream.write_all(&hello).await.map_err(|error| told(&error))?;
    let first = stream.read_u8().await.map_err(|_| "it hangs up on an RTMP handshake".to_owned())?;
    rtmp_answers(first).map(|()| "")
}

/// Sends a datagram; the answer, or `None` when nothing came in time. The socket is connected, so that a closed port is told of.
async fn datagram(at: &str, hello: &[u8], wait: Duration) -> Result<Option<Vec<u8>>, String> {
    let to = parse_endpoint(at).ok_or("no host:port")?;
    let to = lookup_host(to).await.map_err(|error| told(&error))?.next().ok_or("the name has no address")?;
    let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let ask = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect(to).await?;
        socket.send(hello).await?;
        let mut answer = vec![0; DATAGRAM_MAX];
        let got = socket.recv(&mut answer).await?;
        answer.truncate(got);
        Ok(answer)
    };
    match tokio::time::timeout(wait, ask).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(error)) => Err(told(&error)),
        Err(_) => Ok(None),
    }
}

async fn srt(at: &str) -> Result<&'static str, String> {
    let socket = u32::from_be_bytes(kit::random::bytes()) | 1;
    let answer = datagram(at, &srt_hello(socket), ANSWER_MAX).await?;
    let answer = answer.ok_or("no answer to an SRT induction within 1 s")?;
    srt_answers(&answer, socket).map(|()| "")
}

async fn rtc(at: &str) -> Result<&'static str, String> {
    let transaction = kit::random::bytes();
    match datagram(at, &stun_hello(&transaction), SILENCE).await? {
        Some(answer) => stun_answers(&answer, &transaction).map(|()| ""),
        None => Ok("the port is not closed; more cannot be told, because SRS answers STUN only to its own sessions"),
    }
}
