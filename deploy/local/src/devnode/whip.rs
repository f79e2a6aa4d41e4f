//! `POST` and `DELETE /rtc/v1/whip/` and `/rtc/v1/whep/`, in SRS 5's form and order.
//!
//! Publish: session and name first, then `on_publish`; a refused one keeps the name until its time is up. Play:
//! `on_play` first, then the session. Nothing that fails is answered.
//!
//! Source: SRS 5.0.216 `srs_app_rtc_api.cpp`.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use hyper::header::{self, HeaderValue};
use hyper::{Method, StatusCode};
use str0m::change::SdpOffer;
use str0m::{Candidate, IceCreds, Rtc};

use super::hooks::{Action, Extra};
use super::http::{Answer, Call, Hangup, empty, reply};
use super::ids;
use super::offer::{self, Role};
use super::query::{Query, stream_url};
use super::registry::{Client, Kind, Subject};
use super::sfu::{Command, Joining};
use super::shared::Node;

/// Lengths SRS allows for `ice-ufrag` and `ice-pwd` in a query.
const UFRAG_LENGTH: std::ops::RangeInclusive<usize> = 4..=32;
const PWD_LENGTH: std::ops::RangeInclusive<usize> = 22..=32;

/// The prefixes this module answers.
pub(crate) fn is_mine(path: &str) -> bool {
    ["/rtc/v1/whip/", "/rtc/v1/whep/", "/rtc/v1/whip-play/"].iter().any(|prefix| path.starts_with(prefix))
}

/// A path without its last slash is redirected, which turns a POST into a GET at most clients; SRS does that too.
pub(crate) fn redirect(path: &str, query: &str) -> Option<Answer> {
    if !["/rtc/v1/whip", "/rtc/v1/whep", "/rtc/v1/whip-play"].contains(&path) {
        return None;
    }
    let location = HeaderValue::try_from(format!("{path}/?{query}")).ok()?;
    Some(reply(StatusCode::FOUND, "text/plain", "Redirect").map(|mut response| {
        response.headers_mut().insert(header::LOCATION, location);
        response
    }))
}

pub(crate) async fn handle(node: Node, call: Call) -> Answer {
    let query = Query::parse(&call.query);
    if call.method == Method::DELETE {
        return delete(&node, &query).await;
    }
    let plays = call.path.ends_with("/whep/") || call.path.ends_with("/whip-play/");
    let role = if plays || query.get("action") == Some("play") { Role::Play } else { Role::Publish };
    let sdp = std::str::from_utf8(&call.body).map_err(|_| Hangup)?;
    let remote_ufrag = offer::check(sdp, role).map_err(|error| {
        tracing::info!(%error, "offer not taken");
        Hangup
    })?;
    let offer = SdpOffer::from_sdp_string(&offer::make_client_active(sdp)).map_err(|error| {
        tracing::info!(%error, "offer not taken");
        Hangup
    })?;
    let creds = credentials(&node, &query, remote_ufrag)?;
    let session = format!("{}:{remote_ufrag}", creds.ufrag);
    let mut rtc = rtc(&node, creds)?;
    let answer = rtc.sdp_api().accept_offer(offer).map_err(|error| {
        tracing::info!(%error, "offer not taken");
        Hangup
    })?;
    let client = client(&node, &call, &query, role, session.clone());
    let location = location(&query, &client);
    let joining = Joining {
        client_id: client.subject.client_id.clone(),
        url: client.subject.url.clone(),
        role,
        session,
        rtc,
        traffic: std::sync::Arc::clone(&client.traffic),
        kicked: client.cancel.clone(),
    };
    admit(&node, client, role).await?;
    node.sfu.send(Command::Join(Box::new(joining))).await.map_err(|_| Hangup)?;
    let candidates: Vec<SocketAddr> =
        extra_candidate(&node, &query).into_iter().chain([node.endpoints.candidate]).collect();
    let body = offer::with_candidates(&answer.to_sdp_string(), &candidates);
    let mut response = reply(StatusCode::CREATED, "application/sdp", body)?;
    response.headers_mut().insert(header::LOCATION, location.map_err(|_| Hangup)?);
    Ok(response)
}

/// Lists the client and asks the hook, in the order of its role.
async fn admit(node: &Node, client: Client, role: Role) -> Result<(), Hangup> {
    let subject = client.subject.clone();
    match role {
        Role::Play => {
            let stream_id = node.stream_id(&subject.url);
            if !node.hooks.ask(Action::Play, &subject, Extra::Stream(stream_id.as_deref())).await {
                return Err(Hangup);
            }
            node.add(client).map_err(|_| Hangup)
        }
        Role::Publish => {
            let stream_id = {
                let mut registry = node.registry();
                if registry.is_taken(&subject.url) {
                    return Err(Hangup);
                }
                registry.add(client, ids::stream_id()).map_err(|_| Hangup)?;
                registry.take(&subject.client_id).map_err(|_| Hangup)?;
                registry.streams.get(&subject.url).map(|stream| stream.id.clone())
            };
            if node.hooks.ask(Action::Publish, &subject, Extra::Stream(stream_id.as_deref())).await {
                return Ok(());
            }
            let until = node.now().saturating_add(node.session_timeout);
            node.registry().refuse(&subject.client_id, until);
            Err(Hangup)
        }
    }
}

/// `DELETE`: the token must be the session's; a session that is gone is deleted already.
async fn delete(node: &Node, query: &Query) -> Answer {
    let (Some(token), Some(session)) = (query.get("token"), query.get("session")) else { return Err(Hangup) };
    let found = {
        let registry = node.registry();
        registry.by_session(session).map(|client| (client.subject.client_id.clone(), client.delete_token == token))
    };
    match found {
        Some((_, false)) => Err(Hangup),
        Some((client_id, true)) => {
            node.drop_rtc(&client_id).await;
            Ok(empty())
        }
        None => Ok(empty()),
    }
}

/// The gateway's credentials, else random ones; also random when the pair is in use already, as at SRS.
fn credentials(node: &Node, query: &Query, remote_ufrag: &str) -> Result<IceCreds, Hangup> {
    let (ufrag, pass) = (query.get("ice-ufrag"), query.get("ice-pwd"));
    let wrong = ufrag.is_some_and(|value| !UFRAG_LENGTH.contains(&value.len()))
        || pass.is_some_and(|value| !PWD_LENGTH.contains(&value.len()));
    if wrong {
        return Err(Hangup);
    }
    let wanted = ufrag.filter(|ufrag| node.registry().by_session(&format!("{ufrag}:{remote_ufrag}")).is_none());
    Ok(IceCreds {
        ufrag: wanted.map_or_else(|| ids::random(8), str::to_owned),
        pass: pass.map_or_else(|| ids::random(32), str::to_owned),
    })
}

fn rtc(node: &Node, creds: IceCreds) -> Result<Rtc, Hangup> {
    let mut rtc = Rtc::builder()
        .set_ice_lite(true)
        .set_local_ice_credentials(creds)
        .set_dtls_cert(node.certificate.0.clone())
        .clear_codecs()
        .enable_opus(true, false)
        .enable_h264(true)
        .build(Instant::now());
    let candidate = Candidate::host(node.endpoints.candidate, "udp").map_err(|_| Hangup)?;
    rtc.add_local_candidate(candidate).ok_or(Hangup)?;
    Ok(rtc)
}

fn client(node: &Node, call: &Call, query: &Query, role: Role, session: String) -> Client {
    let (app, stream) = (query.app().to_owned(), query.stream().to_owned());
    let url = stream_url(&app, &stream);
    let subject = Subject {
        client_id: ids::random(8),
        ip: call.ip(),
        app,
        stream,
        tc_url: String::new(),
        param: call.query.clone(),
        url,
    };
    let kind = if role == Role::Publish { Kind::RtcPublish } else { Kind::RtcPlay };
    let mut client = Client::new(subject, kind, node.now());
    client.session = session;
    client.delete_token = ids::random(9);
    client
}

/// Path only, always `/rtc/v1/whip/`, nothing escaped.
fn location(query: &Query, client: &Client) -> Result<HeaderValue, header::InvalidHeaderValue> {
    let (app, stream) = (query.app(), query.stream());
    HeaderValue::try_from(format!(
        "/rtc/v1/whip/?action=delete&token={}&app={app}&stream={stream}&session={}",
        client.delete_token, client.session
    ))
}

/// `eip` or `candidate`: one more candidate, named first. Host names are not looked up here.
fn extra_candidate(node: &Node, query: &Query) -> Option<SocketAddr> {
    let wanted = query.get("eip").or_else(|| query.get("candidate"))?;
    let port = node.endpoints.candidate.port();
    wanted.parse().ok().or_else(|| wanted.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port)))
}
