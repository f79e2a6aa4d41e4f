//! Who calls: the first argument of every handler, so that one without it cannot be mounted.

use crate::{
    accounts::rights,
    app::State,
    domain::{
        enrolment::NodeSecrets,
        limit,
        stream::{Access, access},
    },
    error::ApiError,
    nodes::Nodes,
    routes::Right,
    store::pg::streams::{self, StreamRow},
};
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, dev::Payload, http::header, web};
use futures_util::future::LocalBoxFuture;
use kit::{clock, token::TokenError};
use proto::{EdgeId, NodeId, StreamId, UserId, api::UserRole, internal::open_bearer, token::ACCESS_AUDIENCE};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use time::OffsetDateTime;

/// A handler's first argument: it lets pass only those with [`Guard::RIGHT`].
pub trait Guard: FromRequest {
    /// Who passes.
    const RIGHT: Right;
}

/// A handler's arguments, of which the first is a [`Guard`].
pub trait Guarded: Sized {
    /// The guard's right.
    const RIGHT: Right;
    /// The guard first, then the rest one by one: who may not pass learns nothing of what else is wrong, and costs nothing more.
    fn in_order(req: &HttpRequest, payload: Payload) -> LocalBoxFuture<'static, Result<Self, Error>>;
}

macro_rules! guarded {
    ($($rest:ident)*) => {
        impl<G: Guard + 'static, $($rest: FromRequest + 'static),*> Guarded for (G, $($rest,)*) {
            const RIGHT: Right = G::RIGHT;
            fn in_order(req: &HttpRequest, mut payload: Payload) -> LocalBoxFuture<'static, Result<Self, Error>> {
                let req = req.clone();
                Box::pin(async move {
                    Ok((
                        G::from_request(&req, &mut payload).await.map_err(Into::into)?,
                        $($rest::from_request(&req, &mut payload).await.map_err(Into::into)?,)*
                    ))
                })
            }
        }
    };
}
guarded!();
guarded!(A);
guarded!(A B);
guarded!(A B C);
guarded!(A B C D);

/// Extracts a handler's arguments [`Guarded::in_order`]; actix alone would do so all at once.
#[derive(Debug)]
pub struct InOrder<T>(pub T);

impl<T: Guarded + 'static> FromRequest for InOrder<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;
    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let args = T::in_order(req, payload.take());
        Box::pin(async move { args.await.map(Self) })
    }
}

/// Where a request comes from. Put there by [`super::observe`].
#[derive(Debug, Clone)]
pub struct Origin {
    /// The client's address, behind trusted proxies.
    pub ip: IpAddr,
    /// Names the request in answer and log.
    pub request_id: String,
}

impl Origin {
    /// The origin of a request.
    ///
    /// # Panics
    /// Only without the `observe` middleware, which `app.rs` puts around every route.
    #[must_use]
    pub fn of(req: &HttpRequest) -> Self {
        req.extensions().get::<Self>().cloned().expect("the observe middleware is around every route")
    }
}

/// What handlers share.
///
/// # Panics
/// Only without the state, which `app.rs` gives to every route.
#[must_use]
pub fn state(req: &HttpRequest) -> web::Data<State> {
    req.app_data::<web::Data<State>>().cloned().expect("app.rs gives the state to every route")
}

/// Claims of a user's access token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccessClaims {
    /// [`proto::token::ISSUER`].
    pub iss: String,
    /// [`ACCESS_AUDIENCE`].
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// Their role when it was signed.
    pub role: UserRole,
    /// The sign-in it came from.
    pub family: uuid::Uuid,
    /// Unix seconds.
    pub iat: u64,
    /// Unix seconds; not good at or after this.
    pub exp: u64,
}

/// A user who is signed in.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Who.
    pub user: UserId,
    /// What they may do.
    pub role: UserRole,
    /// The sign-in, as named in the database.
    pub family: uuid::Uuid,
}

impl Identity {
    /// For [`access`].
    #[must_use]
    pub const fn who(&self) -> (UserId, UserRole) {
        (self.user, self.role)
    }

    /// Whether they are an admin.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.role == UserRole::Admin
    }
}

/// The text behind `Authorization: Bearer`.
#[must_use]
pub fn bearer(req: &HttpRequest) -> Option<&str> {
    let value = req.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Who is signed in; `None` without a bearer.
///
/// # Errors
/// A bearer that is no access token, or an expired one.
pub fn identity(req: &HttpRequest) -> Result<Option<Identity>, ApiError> {
    let Some(token) = bearer(req) else { return Ok(None) };
    let claims: AccessClaims = state(req).access.verify(token, ACCESS_AUDIENCE)?;
    if clock::unix() >= claims.exp {
        return Err(TokenError::Expired.into());
    }
    Ok(Some(Identity { user: claims.sub, role: claims.role, family: claims.family }))
}

/// Who is signed in. Whoever changes something is asked after in Postgres: a sign-in that was ended, an account that was disabled and rights that
/// were taken away change nothing more, though the access token says otherwise for up to a quarter of an hour.
async fn signed_in(req: &HttpRequest) -> Result<Identity, ApiError> {
    let identity = identity(req)?.ok_or(ApiError::Unauthenticated)?;
    if req.method().is_safe() {
        return Ok(identity);
    }
    let state = state(req);
    state.limits.take_for(limit::WRITE, &identity.user.to_string()).await?;
    let role = rights::of_sign_in(&state, identity.family).await?.ok_or(ApiError::Unauthenticated)?;
    Ok(Identity { role, ..identity })
}

/// Anybody; signed in or not.
#[derive(Debug)]
pub struct Anyone {
    /// Where from.
    pub origin: Origin,
    identity: Result<Option<Identity>, ApiError>,
}

impl Anyone {
    /// Who is signed in, if anybody.
    ///
    /// # Errors
    /// A bearer was sent that is not good.
    pub fn identity(self) -> Result<Option<Identity>, ApiError> {
        self.identity
    }
}

impl Guard for Anyone {
    const RIGHT: Right = Right::Anyone;
}

impl FromRequest for Anyone {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;
    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Ok(Self { origin: Origin::of(req), identity: identity(req) }))
    }
}

/// Whoever is signed in.
#[derive(Debug)]
pub struct User {
    /// Who.
    pub identity: Identity,
    /// Where from.
    pub origin: Origin,
}

impl Guard for User {
    const RIGHT: Right = Right::User;
}

impl FromRequest for User {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;
    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move { Ok(Self { identity: signed_in(&req).await?, origin: Origin::of(&req) }) })
    }
}

/// An admin.
#[derive(Debug)]
pub struct Admin {
    /// Who.
    pub identity: Identity,
    /// Where from.
    pub origin: Origin,
}

impl Guard for Admin {
    const RIGHT: Right = Right::Admin;
}

impl FromRequest for Admin {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;
    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move {
            let identity = signed_in(&req).await?;
            if !identity.is_admin() {
                return Err(ApiError::Forbidden);
            }
            Ok(Self { identity, origin: Origin::of(&req) })
        })
    }
}

/// The owner of the stream named by `{stream}` in the path, or an admin.
#[derive(Debug)]
pub struct Owner {
    /// Who.
    pub identity: Identity,
    /// Where from.
    pub origin: Origin,
    /// The stream.
    pub stream: StreamRow,
}

impl Guard for Owner {
    const RIGHT: Right = Right::Owner;
}

impl FromRequest for Owner {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;
    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move {
            let identity = signed_in(&req).await?;
            let stream = stream_in_path(&req).await?;
            match access(&stream.facts(), Some(identity.who())) {
                Access::Full => Ok(Self { identity, origin: Origin::of(&req), stream }),
                Access::See => Err(ApiError::Forbidden),
                Access::Nothing => Err(ApiError::StreamNotFound),
            }
        })
    }
}

/// The stream named by `{stream}` in the path.
///
/// # Errors
/// [`ApiError::StreamNotFound`] also for a text that is no stream id.
pub async fn stream_in_path(req: &HttpRequest) -> Result<StreamRow, ApiError> {
    let id = req.match_info().query("stream");
    let id = StreamId::parse(id).map_err(|_| ApiError::StreamNotFound)?;
    let client = state(req).pg.get().await?;
    streams::get(&**client, &id).await?.ok_or(ApiError::StreamNotFound)
}

/// The media node named by `{node}` in the path, known by `{secret}`.
#[derive(Debug)]
pub struct Node {
    /// Which one.
    pub node: NodeId,
    /// Where from.
    pub origin: Origin,
}

impl Guard for Node {
    const RIGHT: Right = Right::Node;
}

impl FromRequest for Node {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;
    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (node, secret) = (req.match_info().query("node"), req.match_info().query("secret"));
        let node = known_node(&state(req).nodes, node, secret);
        if node.is_none() {
            state(req).media.stranger("secret");
        }
        std::future::ready(node.map(|node| Self { node, origin: Origin::of(req) }).ok_or(ApiError::NodeUnknown))
    }
}

/// Asks memory only: a stranger costs no store anything.
fn known_node(nodes: &Nodes, node: &str, secret: &str) -> Option<NodeId> {
    let enrolment = nodes.enrolment(&NodeId::parse(node).ok()?)?;
    enrolment.secrets.accept(secret, OffsetDateTime::now_utc()).then(|| enrolment.id.clone())
}

/// Some media node, known by its secret as bearer; which one it says it is stands in the body.
#[derive(Debug)]
pub struct NodeBearer {
    secret: SecretString,
}

impl NodeBearer {
    /// Whether these are the caller's secrets.
    #[must_use]
    pub fn is_of(&self, secrets: &NodeSecrets, now: OffsetDateTime) -> bool {
        secrets.accept(self.secret.expose_secret(), now)
    }
}

impl Guard for NodeBearer {
    const RIGHT: Right = Right::Node;
}

impl FromRequest for NodeBearer {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;
    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let known = bearer(req).filter(|secret| state(req).nodes.is_secret(secret));
        if known.is_none() {
            state(req).media.stranger("secret");
        }
        let made = known.map(|secret| Self { secret: SecretString::from(secret) });
        std::future::ready(made.ok_or(ApiError::NodeUnknown))
    }
}

/// An edge of this cluster.
#[derive(Debug)]
pub struct Edge {
    /// Which one.
    pub edge: EdgeId,
    /// Where from.
    pub origin: Origin,
}

impl Guard for Edge {
    const RIGHT: Right = Right::Internal;
}

impl FromRequest for Edge {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;
    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let edge = || {
            let secrets = state(req).secrets()?;
            let text = bearer(req).ok_or(ApiError::Unauthenticated)?;
            let edge = open_bearer(text, &secrets.keyring, clock::unix()).map_err(|why| {
                tracing::debug!(%why, "an internal bearer was refused");
                ApiError::Unauthenticated
            })?;
            Ok(Self { edge, origin: Origin::of(req) })
        };
        std::future::ready(edge())
    }
}
