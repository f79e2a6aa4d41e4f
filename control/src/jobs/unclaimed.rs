//! Publishers that own no claim and go on at their node.
//!
//! Their claim was taken for lost, or their refusal never reached SRS. Nobody finds them, and nobody else can publish there under their name; so
//! they are put out, and come back as publishers do.

use super::JobError;
use crate::{
    app::State,
    domain::claims::Owner,
    store::pg::{claims, kicks},
};
use kit::clock;
use proto::{ClientId, ServiceId, fleet::NodeInfo, srs::api::Client};
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

/// How long a publisher must be without a claim, as this process sees it, in milliseconds: the journal of an edge that let it in is handed in within
/// a second of a control-api's return.
const PATIENCE_MS: u64 = 15_000;
/// One not seen for this long is forgotten, in milliseconds: turns go round the control nodes.
const FORGET_MS: u64 = 120_000;

/// When each was first and last seen without a claim.
#[derive(Debug, Default)]
pub struct Unclaimed(Mutex<HashMap<(ServiceId, ClientId), (u64, u64)>>);

impl Unclaimed {
    /// Takes in which publishers of a run have no claim now; those that have had none for long enough.
    fn see(&self, service: &ServiceId, now: Vec<ClientId>, now_ms: u64) -> Vec<ClientId> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let present: HashSet<&ClientId> = now.iter().collect();
        all.retain(|(run, client), (_, last)| {
            now_ms.saturating_sub(*last) < FORGET_MS && (run != service || present.contains(client))
        });
        let long = |client: &ClientId| {
            let (first, last) = all.entry((service.clone(), client.clone())).or_insert((now_ms, now_ms));
            *last = now_ms;
            now_ms.saturating_sub(*first) >= PATIENCE_MS
        };
        now.into_iter().filter(long).collect()
    }
}

/// Owes kicks to publishers of a node's present run that have had no claim for a while.
///
/// # Errors
/// Postgres away.
pub(super) async fn put_out(state: &State, info: &NodeInfo, clients: &[Client]) -> Result<(), JobError> {
    // What the journal holds may be their claims.
    if !state.journal.is_empty() {
        return Ok(());
    }
    // Read after the node's list, so that a claim made meanwhile counts.
    let live = claims::live(&state.pg, Some(&info.id)).await?;
    let owners: HashSet<&str> = live.iter().map(|held| held.from.client.as_str()).collect();
    let without = clients.iter().filter(|client| client.publish && !owners.contains(client.id.as_str()));
    let without = without.filter_map(|client| ClientId::parse(&client.id).ok()).collect();
    let over = state.unclaimed.see(&info.service, without, clock::unix_ms());
    if over.is_empty() {
        return Ok(());
    }
    tracing::warn!(node = %info.id, publishers = over.len(), "publishers without a claim are put out");
    let owner = |client| Owner { node: info.id.clone(), service: info.service.clone(), client };
    let owed: Vec<Owner> = over.into_iter().map(owner).collect();
    kicks::owe(&state.pg, &owed, "no_claim", 0).await?;
    state.kicker.owed(owed.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_stays_without_a_claim_for_long_is_put_out() {
        let (run, other) = (ServiceId::parse("s1").unwrap(), ServiceId::parse("s2").unwrap());
        let id = |text: &str| ClientId::parse(text).unwrap();
        let all = Unclaimed::default();
        let see = |at: u64, ids: &[&str]| all.see(&run, ids.iter().map(|text| id(text)).collect(), at);
        assert!(see(0, &["a", "b"]).is_empty());
        assert!(see(5_000, &["a"]).is_empty(), "b has a claim by now, or is gone");
        assert!(see(14_999, &["a", "b"]).is_empty());
        assert_eq!(see(15_000, &["a", "b"]), [id("a")]);
        assert_eq!(see(29_999, &["b"]), [id("b")]);
        assert!(all.see(&other, Vec::new(), 30_000).is_empty());
        assert_eq!(all.0.lock().unwrap().len(), 1, "another run's list says nothing of this one");
        all.see(&other, Vec::new(), 29_999 + FORGET_MS);
        assert!(all.0.lock().unwrap().is_empty());
    }
}
