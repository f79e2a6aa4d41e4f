//! The secrets of a cluster on one machine, drawn once and kept in `secrets.json` (mode 0600).

use crate::data::{DataDir, DataError, at, write_private};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Bytes of randomness in each secret.
const SECRET_BYTES: usize = 32;

/// What `secrets.json` holds. All values are URL-safe text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Names what this cluster keeps outside its folder. Not secret; new whenever the rest is.
    pub cluster: String,
    /// `JWT_SECRET` of control-api. Its loss makes the sealed signing keys in the database unreadable.
    pub jwt: String,
    /// Password of PostgreSQL's `keystone` user.
    pub postgres: String,
    /// Password of Redis.
    pub redis: String,
    /// Password of the first administrator.
    pub admin: String,
    /// Node id → its secret.
    pub nodes: BTreeMap<String, String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Reads the kept secrets, draws what is missing for `nodes`, and keeps the result.
    ///
    /// # Errors
    /// [`DataError::Damaged`] when the file is not what we wrote, else what the file system says.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    pub fn load(data: &DataDir, nodes: impl Iterator<Item = String>) -> Result<Self, DataError> {
        let path = data.join("secrets.json");
        let mut secrets = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| DataError::Damaged { path: path.clone(), why: format!("line {}", error.line()) })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::draw(),
            Err(error) => return Err(at(&path)(error)),
        };
        for id in nodes {
            secrets.nodes.entry(id).or_insert_with(random_text);
        }
        let text = serde_json::to_vec_pretty(&secrets).expect("a struct of texts has a JSON form");
        write_private(&path, &text)?;
        Ok(secrets)
    }

    fn draw() -> Self {
        Self {
            cluster: random_text().to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).take(16).collect(),
            jwt: random_text(),
            postgres: random_text(),
            redis: random_text(),
            admin: random_text(),
            nodes: BTreeMap::new(),
        }
    }
}

/// 43 URL-safe characters from the system's random source.
///
/// # Panics
/// When the system has no randomness to give, which leaves nothing safe to do.
#[must_use]
pub fn random_text() -> String {
    let mut bytes = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random source works");
    BASE64URL_NOPAD.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_and_new_nodes_get_theirs() {
        let dir = std::env::temp_dir().join(format!("keystone-secrets-{}", std::process::id()));
        let data = DataDir::open(&dir).unwrap();
        let first = Secrets::load(&data, ["node-0".to_owned()].into_iter()).unwrap();
        let second = Secrets::load(&data, ["node-0".to_owned(), "node-1".to_owned()].into_iter()).unwrap();
        assert_eq!((&first.jwt, &first.nodes["node-0"]), (&second.jwt, &second.nodes["node-0"]));
        assert_eq!((second.nodes.len(), second.nodes["node-1"].len()), (2, 43));
        assert!(!format!("{second:?}").contains(&second.jwt));
        std::fs::write(data.join("secrets.json"), "{\"jwt\":1}").unwrap();
        assert!(matches!(Secrets::load(&data, std::iter::empty()), Err(DataError::Damaged { .. })));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
