//! Who may have what. A value is looked at on every request; what stands behind it is asked again when the last answer is 5 s old.

use super::{
    Inner,
    listing::Listing,
    viewers::{Record, Viewer},
};
use crate::{
    admit::{Admitted, Standing},
    error::{ApiError, Fault, ScopeFault},
};
use proto::{
    SessionId, StreamId,
    internal::{Credential, EdgeSession},
    session::{EndReason, Protocol, Role},
    viewer::{self, LIFE_SECONDS},
};
use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// How long an answer is believed (design: HLS alone uses a cached verdict).
pub(super) const BELIEVED: Duration = Duration::from_secs(5);
/// How long control-api may take to hear of a session after its value was minted, in seconds: until then nobody knowing it says nothing.
const TOLD_WITHIN_SECONDS: u64 = 15;
/// The name of the limit of questions about streams.
const LIMIT: &str = "hls";
/// Streams whose visibility is remembered.
const VISIBLE_MAX: u64 = 50_000;

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// A token, at the first playlist.
    pub(crate) credential: Option<&'a str>,
    /// The viewer's value.
    pub(crate) viewer: Option<&'a str>,
    /// The client's address.
    pub(crate) client: IpAddr,
}

/// Visibilities as they were a moment ago.
#[derive(Debug)]
pub(super) struct Verdicts(moka::sync::Cache<StreamId, bool>);

impl Verdicts {
    pub(super) fn new() -> Self {
        Self(moka::sync::Cache::builder().max_capacity(VISIBLE_MAX).time_to_live(BELIEVED).build())
    }
}

impl Inner {
    /// Passes whoever plays a stream without a token. Asking counts against the address's limit: names of streams that do not exist cost a question each.
    pub(super) async fn public_only(&self, stream: &StreamId, client: IpAddr) -> Result<(), ApiError> {
        let public = match self.verdicts.0.get(stream) {
            Some(public) => public,
            None => {
                self.parts.admission.limit(LIMIT, client).await?;
                let public = self.parts.admission.is_public(stream).await?;
                self.verdicts.0.insert(stream.clone(), public);
                public
            }
        };
        if public { Ok(()) } else { Err(ApiError::TokenMissing) }
    }

    /// Opens the session of an admitted viewer, unless only the head is wanted, and mints its value.
    pub(super) fn open(
        &self,
        stream: &StreamId,
        session: SessionId,
        admitted: &Admitted,
        client: IpAddr,
        listing: &Listing,
        head: bool,
    ) -> Result<String, ApiError> {
        let secrets = self.parts.replica.secrets().ok_or(ApiError::Away { what: "secrets" })?;
        let now = kit::clock::unix();
        let token = match &admitted.credential {
            Credential::Token { jti } => Some(*jti),
            Credential::StreamKey { .. } | Credential::Open => None,
        };
        let value = viewer::Viewer {
            session,
            token,
            client: admitted.bounds.client,
            edge: self.parts.edge.clone(),
            minted_at: now,
            expires_at: admitted.bounds.expires_at.unwrap_or_else(|| now.saturating_add(LIFE_SECONDS)),
        };
        if !head {
            let record = record(stream, session, admitted.credential.clone(), client, listing);
            self.hold(record, true)?.seen(self.viewers.now_ms(), listing.target());
        }
        Ok(value.seal(&secrets.keyring.current, stream))
    }

    fn hold(&self, record: Record, mine: bool) -> Result<Arc<Viewer>, ApiError> {
        let session = record.0.id;
        let kept = self.parts.replica.leases().add(session, Role::Play, Protocol::Hls);
        let held = self.viewers.hold(record, mine, kept);
        if held.is_none() {
            self.parts.replica.leases().remove(&session);
        }
        held.ok_or(ApiError::EdgeFull)
    }

    /// Checks a value: whose it is, and whether a token stands behind it.
    pub(super) async fn verdict(
        self: &Arc<Self>,
        stream: &StreamId,
        text: &str,
        client: IpAddr,
    ) -> Result<(Arc<Viewer>, bool), ApiError> {
        let replica = &self.parts.replica;
        let secrets = replica.secrets().ok_or(ApiError::Away { what: "secrets" })?;
        let value =
            viewer::Viewer::open(text, &secrets.keyring, stream).map_err(|_| ApiError::TokenInvalid(Fault::Unknown))?;
        if value.client.is_some_and(|ip| ip.to_canonical() != client.to_canonical()) {
            return Err(ApiError::TokenScope(ScopeFault::Address));
        }
        if value.token.is_some_and(|jti| replica.revoked(&jti)) {
            return Err(ApiError::TokenInvalid(Fault::Revoked));
        }
        if replica.end_of(&value.session).is_some_and(EndReason::is_final) {
            return Err(ApiError::SessionUnknown);
        }
        let now_ms = self.viewers.now_ms();
        let known = self.viewers.get(&value.session).filter(|known| !known.kept.ended().is_cancelled());
        if let Some(known) = &known
            && now_ms.saturating_sub(known.checked_ms.load(Ordering::Relaxed)) < millis(BELIEVED)
        {
            known.seen_ms.store(now_ms, Ordering::Relaxed);
            return Ok((known.clone(), value.token.is_some()));
        }
        let viewer = self.look(stream, &value, client, known).await?;
        viewer.checked_ms.store(now_ms, Ordering::Relaxed);
        viewer.seen_ms.store(now_ms, Ordering::Relaxed);
        Ok((viewer, value.token.is_some()))
    }

    /// Asks what stands behind a value, and takes its session up here: as another edge's, or anew where nobody has it any more.
    async fn look(
        self: &Arc<Self>,
        stream: &StreamId,
        value: &viewer::Viewer,
        client: IpAddr,
        known: Option<Arc<Viewer>>,
    ) -> Result<Arc<Viewer>, ApiError> {
        let standing = self.parts.admission.standing(stream, value).await?;
        let now = kit::clock::unix();
        let mine = match standing {
            Standing::Ended(reason) if reason.is_final() => {
                self.parts.replica.learn_ended(value.session, reason);
                return Err(ApiError::SessionUnknown);
            }
            Standing::Open | Standing::Unasked => false,
            Standing::Unknown if now.saturating_sub(value.minted_at) < TOLD_WITHIN_SECONDS || known.is_some() => false,
            // Its edge is gone, and it was not the viewer's doing.
            Standing::Ended(EndReason::NodeLost) => true,
            Standing::Ended(_) | Standing::Unknown if now < value.expires_at => true,
            Standing::Ended(_) | Standing::Unknown => return Err(ApiError::TokenInvalid(Fault::Expired)),
        };
        if let Some(known) = known.filter(|_| !mine) {
            return Ok(known);
        }
        let listing = self.listing(stream).await?;
        let credential = value.token.map_or(Credential::Open, |jti| Credential::Token { jti });
        self.viewers.drop_held(&value.session);
        if mine {
            self.parts.replica.learn_opened(&value.session);
        }
        self.hold(record(stream, value.session, credential, client, &listing), mine)
    }
}

fn record(stream: &StreamId, id: SessionId, credential: Credential, client: IpAddr, listing: &Listing) -> Record {
    let at = listing.at();
    Record(EdgeSession {
        id,
        stream: stream.clone(),
        protocol: Protocol::Hls,
        node: at.node.clone(),
        service: at.service.clone(),
        epoch: at.epoch,
        client,
        credential,
        opened_ms: kit::clock::unix_ms(),
    })
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
