//! Password hashes: argon2id, off the request threads, a few at a time.

use crate::error::ApiError;
use actix_web::web;
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::sync::Semaphore;

/// OWASP's second choice (Password Storage Cheat Sheet, read 2026-11): 19 MiB, 2 passes, 1 lane; about 15 ms of one core.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Requests that may wait for a hash: about a second's work a core.
const WAITING_MAX: usize = 64;

/// Makes and checks hashes, at most one a core at a time: each needs a core and 19 MiB.
#[derive(Clone)]
pub struct Hasher {
    argon2: Argon2<'static>,
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    checked: Arc<AtomicU64>,
    // Compared with when there is no such account, so that it takes as long.
    nobody: Arc<str>,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").field("turns", &self.turns).finish_non_exhaustive()
    }
}

impl Hasher {
    /// A hasher for a machine of so many cores.
    ///
    /// # Panics
    /// Only if the constants here were no parameters of argon2.
    #[must_use]
    pub fn new(cores: NonZeroUsize) -> Self {
        let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("constants within argon2's ranges");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = argon2.hash_password(&kit::random::bytes::<32>()).expect("32 bytes can be hashed").to_string();
        Self {
            argon2,
            turns: Arc::new(Semaphore::new(cores.get())),
            waiting: Arc::new(AtomicUsize::new(0)),
            checked: Arc::new(AtomicU64::new(0)),
            nobody: nobody.into(),
        }
    }

    /// Hashes a new password into a PHC string with a salt of its own.
    ///
    /// # Errors
    /// [`ApiError::Busy`].
    pub async fn hash(&self, password: String) -> Result<String, ApiError> {
        let argon2 = self.argon2.clone();
        let work = move || argon2.hash_password(password.as_bytes()).map(|hash| hash.to_string());
        self.in_turn(work).await?.map_err(|error| ApiError::internal(error.to_string()))
    }

    /// Whether `password` is the one of `hash`. Without a hash the answer is no, after the same work.
    ///
    /// # Errors
    /// [`ApiError::Busy`]; a bug if the stored hash cannot be read.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, ApiError> {
        let (argon2, nobody) = (self.argon2.clone(), Arc::clone(&self.nobody));
        self.checked.fetch_add(1, Ordering::Relaxed);
        let work = move || {
            let known = hash.is_some();
            let text = hash.as_deref().unwrap_or(&nobody);
            let hash = PasswordHash::new(text).map_err(|error| error.to_string())?;
            Ok::<bool, String>(argon2.verify_password(password.as_bytes(), &hash).is_ok() && known)
        };
        self.in_turn(work).await?.map_err(ApiError::internal)
    }

    /// Passwords checked since the start, each at a hash's full cost.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let waiting = Waiting::enter(&self.waiting)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(ApiError::internal)?;
        drop(waiting);
        let work = move || {
            // Moved in, so that a request that is given up goes on counting until its work ends.
            let _turn = turn;
            work()
        };
        web::block(work).await.map_err(ApiError::internal)
    }
}

/// One place in the queue, given back when dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Result<Self, ApiError> {
        let place = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) < WAITING_MAX { Ok(place) } else { Err(ApiError::Busy) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_password_matches_its_own_hash_only() {
        let hasher = Hasher::new(NonZeroUsize::MIN);
        let hash = hasher.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify("battery".into(), Some(hash)).await.unwrap());
        assert!(!hasher.verify("battery".into(), None).await.unwrap());
    }

    #[actix_web::test]
    async fn the_queue_is_bounded() {
        let hasher = Hasher::new(NonZeroUsize::MIN);
        let held = Arc::clone(&hasher.turns).acquire_owned().await.unwrap();
        let waiting = hasher.waiting.clone();
        let queued: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                actix_web::rt::spawn({
                    let hasher = hasher.clone();
                    async move { hasher.verify("x".into(), None).await }
                })
            })
            .collect();
        while waiting.load(Ordering::Relaxed) < WAITING_MAX {
            tokio::task::yield_now().await;
        }
        assert!(matches!(hasher.verify("x".into(), None).await, Err(ApiError::Busy)));
        queued.iter().for_each(|task| task.abort());
        drop(held);
    }
}
