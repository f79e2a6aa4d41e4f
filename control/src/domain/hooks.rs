//! What SRS asks, decided as far as it can be without a store: which credential a hook carries, what a ticket allows, what SRS hears.

use proto::{
    ClientId, SessionId, StreamId,
    session::{Protocol, Role},
    srs::{
        hook::{Action, Hook},
        param::Param,
    },
    stream_key::StreamKey,
    ticket::{self, Misfit, Ticket, TicketError},
    token::MediaClaims,
};
use std::net::IpAddr;

/// Query values that may hold a stream key or a token, in the order they are looked at.
const CREDENTIAL_NAMES: [&str; 2] = ["token", "key"];

/// Why SRS is told no. Its word goes into logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The body is not a hook, or lacks what its action must have.
    Malformed,
    /// The stream's name is not one a stream can have here.
    Name,
    /// No ticket, key or token.
    NoCredential,
    /// A value that only a gateway may set, without a valid ticket.
    GatewayOnly,
    /// A ticket of another cluster, node, run or stream, or none at all.
    Ticket,
    /// The ticket's first hook came too late.
    TicketExpired,
    /// The ticket admits to the other role.
    TicketRole,
    /// The session of the ticket belongs to another client already.
    TicketReplayed,
    /// The session at SRS was set up with another ICE ufrag than the admitted one.
    Ufrag,
    /// The stream is not reserved for the ticket's session (any more).
    NotReserved,
    /// Not a key of this stream, or one that was rotated away.
    Key,
    /// Not a token of this cluster, or its time is over.
    Token,
    /// The token is for another stream, action or address.
    TokenScope,
    /// The token was revoked, or was good for one admission and is used.
    TokenSpent,
    /// There is no such stream.
    NoStream,
    /// Somebody else publishes it.
    Busy,
    /// Nobody publishes it.
    NotLive,
    /// It is published on another node.
    NotHome,
    /// A private stream and no token.
    Private,
    /// A store that must be asked is away.
    Away,
}

impl Refusal {
    /// All of them, for metrics.
    pub const ALL: [Self; 20] = [
        Self::Malformed,
        Self::Name,
        Self::NoCredential,
        Self::GatewayOnly,
        Self::Ticket,
        Self::TicketExpired,
        Self::TicketRole,
        Self::TicketReplayed,
        Self::Ufrag,
        Self::NotReserved,
        Self::Key,
        Self::Token,
        Self::TokenScope,
        Self::TokenSpent,
        Self::NoStream,
        Self::Busy,
        Self::NotLive,
        Self::NotHome,
        Self::Private,
        Self::Away,
    ];

    /// The word used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Name => "name",
            Self::NoCredential => "no_credential",
            Self::GatewayOnly => "gateway_only",
            Self::Ticket => "ticket",
            Self::TicketExpired => "ticket_expired",
            Self::TicketRole => "ticket_role",
            Self::TicketReplayed => "ticket_replayed",
            Self::Ufrag => "ufrag",
            Self::NotReserved => "not_reserved",
            Self::Key => "key",
            Self::Token => "token",
            Self::TokenScope => "token_scope",
            Self::TokenSpent => "token_spent",
            Self::NoStream => "no_stream",
            Self::Busy => "busy",
            Self::NotLive => "not_live",
            Self::NotHome => "not_home",
            Self::Private => "private",
            Self::Away => "away",
        }
    }

    /// The `code` SRS hears: any integer but 0 refuses; these follow HTTP for whoever reads SRS's log.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Malformed | Self::Name => 400,
            Self::NoCredential | Self::Private => 401,
            Self::GatewayOnly
            | Self::Ticket
            | Self::TicketExpired
            | Self::TicketRole
            | Self::TicketReplayed
            | Self::Ufrag
            | Self::Key
            | Self::Token
            | Self::TokenScope
            | Self::TokenSpent => 403,
            Self::NoStream | Self::NotLive => 404,
            Self::Busy | Self::NotReserved | Self::NotHome => 409,
            Self::Away => 503,
        }
    }
}

/// A credential as a hook carries it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presented<'a> {
    /// An edge admitted the client.
    Ticket(&'a str),
    /// The client reached SRS directly with a stream key.
    Key(&'a str),
    /// ... or with a token.
    Token(&'a str),
    /// ... or with nothing.
    Nothing,
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ticket(_) => "Ticket(..)",
            Self::Key(_) => "Key(..)",
            Self::Token(_) => "Token(..)",
            Self::Nothing => "Nothing",
        })
    }
}

/// What a hook presents. A ticket comes first; without one, nothing that only a gateway may set may be there.
///
/// # Errors
/// [`Refusal::GatewayOnly`]. SRS itself writes `vhost` into an SRT client's `param` when its stream id has `h=`, so there it is no sign of anything.
pub fn presented<'a>(param: Param<'a>, protocol: Protocol) -> Result<Presented<'a>, Refusal> {
    if let Some(ticket) = param.get(ticket::PARAM) {
        return Ok(Presented::Ticket(ticket));
    }
    match param.gateway_only() {
        None => {}
        Some("vhost") if protocol == Protocol::Srt => {}
        Some(_) => return Err(Refusal::GatewayOnly),
    }
    let value = CREDENTIAL_NAMES.into_iter().find_map(|name| param.get(name)).filter(|value| !value.is_empty());
    Ok(match value {
        None => Presented::Nothing,
        Some(key) if StreamKey::looks_like(key) => Presented::Key(key),
        Some(token) => Presented::Token(token),
    })
}

impl From<TicketError> for Refusal {
    fn from(_: TicketError) -> Self {
        Self::Ticket
    }
}

impl From<Misfit> for Refusal {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            Misfit::Role => Self::TicketRole,
            Misfit::Ufrag => Self::Ufrag,
        }
    }
}

/// Checks what a verified ticket says against the hook it came with. Its time is asked only while no hook has `bound` its session.
///
/// # Errors
/// Why the ticket does not fit.
pub fn ticket_fits(ticket: &Ticket, role: Role, param: Param<'_>, now_unix: u64, bound: bool) -> Result<(), Refusal> {
    ticket.fits(role, param.get(ticket::UFRAG_PARAM))?;
    if !bound && ticket.expired(now_unix) {
        return Err(Refusal::TicketExpired);
    }
    Ok(())
}

/// Whether a session that was met before may be met again by `client`.
///
/// # Errors
/// [`Refusal::TicketReplayed`].
pub fn bound_to(known: Option<&ClientId>, client: &ClientId) -> Result<(), Refusal> {
    if known.is_none_or(|known| known == client) { Ok(()) } else { Err(Refusal::TicketReplayed) }
}

/// Checks a verified token's own words against what is asked for.
///
/// # Errors
/// [`Refusal::TokenScope`].
pub fn token_fits(claims: &MediaClaims, stream: &StreamId, role: Role, from: Option<IpAddr>) -> Result<(), Refusal> {
    let here = claims.ip.is_none_or(|ip| from.is_some_and(|from| from.to_canonical() == ip.to_canonical()));
    if claims.stream == *stream && claims.action == role && here { Ok(()) } else { Err(Refusal::TokenScope) }
}

/// What an action is to Keystone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Asks to publish.
    Publish,
    /// Asks to play.
    Play,
    /// A publisher is gone.
    Unpublish,
    /// A player is gone.
    Stop,
    /// A connection is gone.
    Close,
    /// A connection came; the decision comes later.
    Connect,
    /// Where to forward to.
    Forward,
    /// Told only.
    Told,
}

/// Sorts SRS's actions.
#[must_use]
pub const fn kind(action: Action) -> Kind {
    match action {
        Action::OnPublish => Kind::Publish,
        Action::OnPlay => Kind::Play,
        Action::OnUnpublish => Kind::Unpublish,
        Action::OnStop => Kind::Stop,
        Action::OnClose => Kind::Close,
        Action::OnConnect => Kind::Connect,
        Action::OnForward => Kind::Forward,
        Action::OnDvr | Action::OnHls => Kind::Told,
    }
}

/// The stream a hook is about.
///
/// # Errors
/// [`Refusal::Name`].
pub fn stream(hook: &Hook) -> Result<StreamId, Refusal> {
    hook.stream().map_err(|_| Refusal::Name)
}

/// A new id for a client that reached SRS directly: ordered by time, so that lists are newest first.
#[must_use]
pub const fn session_id(now_ms: u64, random: [u8; 10]) -> SessionId {
    SessionId::from_uuid(uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proto::{EdgeId, TokenId, ticket::ufrag_hash};

    fn ticket(role: Role, ufrag: &str) -> Ticket {
        Ticket {
            session: SessionId::from_bytes([1; 16]),
            role,
            protocol: Protocol::Webrtc,
            expires_at: 100,
            epoch: 1,
            client: None,
            ufrag_hash: if ufrag.is_empty() { [0; 8] } else { ufrag_hash(ufrag) },
            edge: EdgeId::parse("e1").unwrap(),
        }
    }

    #[test]
    fn a_ticket_comes_before_everything_and_gateway_values_need_one() {
        let of = |text| presented(Param::new(text), Protocol::Webrtc);
        assert_eq!(of("app=live&stream=x&kst=T&ice-ufrag=u&token=Z"), Ok(Presented::Ticket("T")));
        assert_eq!(of("app=live&stream=x&token=Z&ice-ufrag=u"), Err(Refusal::GatewayOnly));
        assert_eq!(of("?token=Z?token=Z"), Ok(Presented::Token("Z")));
        assert_eq!(of("?key=sk_cam_x_y"), Ok(Presented::Key("sk_cam_x_y")));
        assert_eq!(of("?token=sk_cam_x_y"), Ok(Presented::Key("sk_cam_x_y")), "encoders have one field only");
        assert_eq!(of("?token="), Ok(Presented::Nothing));
        assert_eq!(of(""), Ok(Presented::Nothing));
        assert!(!format!("{:?}", of("?token=hunter2")).contains("hunter2"));
    }

    #[test]
    fn srts_own_vhost_is_no_smuggling() {
        let param = Param::new("vhost=127.0.0.1&token=ST1&x=2");
        assert_eq!(presented(param, Protocol::Srt), Ok(Presented::Token("ST1")));
        assert_eq!(presented(param, Protocol::Webrtc), Err(Refusal::GatewayOnly));
        assert_eq!(presented(Param::new("eip=1.2.3.4&token=a"), Protocol::Srt), Err(Refusal::GatewayOnly));
    }

    #[test]
    fn a_ticket_binds_role_ufrag_and_time() {
        let with = Param::new("kst=T&ice-ufrag=abcd&ice-pwd=x");
        let fits = |t: &Ticket, role, param, now, bound| ticket_fits(t, role, param, now, bound);
        let whip = ticket(Role::Publish, "abcd");
        assert_eq!(fits(&whip, Role::Publish, with, 99, false), Ok(()));
        assert_eq!(fits(&whip, Role::Play, with, 99, false), Err(Refusal::TicketRole));
        assert_eq!(fits(&whip, Role::Publish, with, 100, false), Err(Refusal::TicketExpired));
        assert_eq!(fits(&whip, Role::Publish, with, 100, true), Ok(()), "a bound session is not asked for its time");
        assert_eq!(fits(&whip, Role::Publish, Param::new("kst=T"), 1, false), Err(Refusal::Ufrag));
        assert_eq!(fits(&whip, Role::Publish, Param::new("kst=T&ice-ufrag=evil"), 1, false), Err(Refusal::Ufrag));
        let rtmp = ticket(Role::Publish, "");
        assert_eq!(fits(&rtmp, Role::Publish, Param::new("?kst=T"), 1, false), Ok(()));
        assert_eq!(fits(&rtmp, Role::Publish, with, 1, false), Err(Refusal::Ufrag), "a ufrag nobody admitted");
    }

    #[test]
    fn a_session_keeps_its_client() {
        let (a, b) = (ClientId::parse("a").unwrap(), ClientId::parse("b").unwrap());
        assert_eq!(bound_to(None, &a), Ok(()));
        assert_eq!(bound_to(Some(&a), &a), Ok(()));
        assert_eq!(bound_to(Some(&a), &b), Err(Refusal::TicketReplayed));
    }

    #[test]
    fn a_token_is_for_its_stream_action_and_address() {
        let cam = StreamId::parse("cam").unwrap();
        let mut claims = MediaClaims {
            iss: String::new(),
            aud: String::new(),
            jti: TokenId::from_bytes([1; 16]),
            stream: cam.clone(),
            action: Role::Play,
            iat: 0,
            exp: 1,
            single_use: false,
            ip: None,
        };
        let here = "192.0.2.1".parse().ok();
        assert_eq!(token_fits(&claims, &cam, Role::Play, None), Ok(()));
        assert_eq!(token_fits(&claims, &cam, Role::Publish, here), Err(Refusal::TokenScope));
        assert_eq!(token_fits(&claims, &StreamId::parse("cat").unwrap(), Role::Play, here), Err(Refusal::TokenScope));
        claims.ip = here;
        assert_eq!(token_fits(&claims, &cam, Role::Play, here), Ok(()));
        assert_eq!(token_fits(&claims, &cam, Role::Play, "::ffff:192.0.2.1".parse().ok()), Ok(()));
        assert_eq!(token_fits(&claims, &cam, Role::Play, "192.0.2.2".parse().ok()), Err(Refusal::TokenScope));
        assert_eq!(token_fits(&claims, &cam, Role::Play, None), Err(Refusal::TokenScope));
    }

    #[test]
    fn every_refusal_has_its_own_word_and_a_code_that_refuses() {
        let words: std::collections::HashSet<_> = Refusal::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(words.len(), Refusal::ALL.len());
        assert!(Refusal::ALL.iter().all(|r| r.code() >= 400));
    }

    proptest! {
        #[test]
        fn reading_a_param_never_panics_and_never_admits_by_itself(text: String) {
            let got = presented(Param::new(&text), Protocol::Rtmp);
            prop_assert!(got != Ok(Presented::Ticket("")) || text.contains("kst"));
        }
    }
}
