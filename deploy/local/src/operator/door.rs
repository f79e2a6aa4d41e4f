//! The way in: where control-api is and who we are, from the environment or from `admin.json` of the cluster on this machine.

use crate::{
    api::{Api, ApiError},
    cli::{ApiArgs, repository},
    cluster::Admin,
    config::Config,
};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// An operator's command did not succeed. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Nobody said where and who.
    #[error(
        "there is no {}: start a cluster with `keystone up`, name its folder with --data, or set KEYSTONE_API and KEYSTONE_TOKEN",
        file.display()
    )]
    NoCluster {
        /// The file that was looked for.
        file: PathBuf,
    },
    /// One of the two variables is missing.
    #[error(
        "KEYSTONE_TOKEN is set and KEYSTONE_API is not: set it to the address before /v1, e.g. https://media.example/api"
    )]
    NoAddress,
    /// The file is there and cannot be used.
    #[error("{} cannot be read ({why}): it is made anew by `keystone up`", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// Nothing answers.
    #[error("{base} does not answer ({why}): is the cluster up? KEYSTONE_API or --data names another")]
    Away {
        /// The address.
        base: String,
        /// Why.
        why: String,
    },
    /// The token or the password is no longer good.
    #[error(
        "{base} does not know us: get a new access token (POST /v1/auth/login) for KEYSTONE_TOKEN, or start the cluster again"
    )]
    Unknown {
        /// The address.
        base: String,
    },
    /// Not an administrator.
    #[error("that is for administrators only: make one with `control-api admin create`")]
    NotAdmin,
    /// control-api said no, in its own words.
    #[error("{code}: {detail}")]
    Refused {
        /// The stable code of the problem document, or the status.
        code: String,
        /// Its words.
        detail: String,
        /// The status.
        status: StatusCode,
    },
    /// An answer that is no answer of control-api.
    #[error("{0}")]
    Strange(String),
}

/// An open way to control-api.
#[derive(Debug)]
pub(crate) struct Door {
    api: Api,
    base: String,
    /// Signs in again when the access token has run out, which it does after 15 min: a drain takes longer.
    again: Option<Admin>,
}

impl Door {
    /// Finds the cluster and signs in.
    pub(crate) async fn open(args: &ApiArgs, config: &Config) -> Result<Self, DoorError> {
        match (&config.api, &config.token) {
            (Some(base), Some(token)) => {
                Ok(Self { api: Api::new(base).with_bearer(token), base: base.clone(), again: None })
            }
            (None, Some(_)) => Err(DoorError::NoAddress),
            (base, None) => {
                let mut admin = read_admin(&folder(args))?;
                if let Some(base) = base {
                    admin.api.clone_from(base);
                }
                let mut door = Self { api: Api::new(&admin.api), base: admin.api.clone(), again: Some(admin) };
                door.sign_in().await?;
                Ok(door)
            }
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Value, DoorError> {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Value, DoorError> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&mut self, path: &str, body: &Value) -> Result<Value, DoorError> {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Result<(), DoorError> {
        self.ask(Method::DELETE, path, None).await.map(|_| ())
    }

    /// All items of a list, page by page, and whether there were more than `limit`.
    pub(crate) async fn all(&mut self, path: &str, limit: usize) -> Result<(Vec<Value>, bool), DoorError> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = match &cursor {
                None => self.get(path).await?,
                Some(cursor) => self.get(&format!("{path}{}cursor={cursor}", joint(path))).await?,
            };
            items.extend(page["items"].as_array().into_iter().flatten().cloned());
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if items.len() > limit || cursor.is_none() {
                let more = items.len() > limit;
                items.truncate(limit);
                return Ok((items, more));
            }
        }
    }

    async fn ask(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, DoorError> {
        match self.api.value(method.clone(), path, body).await {
            Err(ApiError::Status { status: StatusCode::UNAUTHORIZED, .. }) if self.again.is_some() => {
                self.sign_in().await?;
                self.api.value(method, path, body).await.map_err(|error| self.explain(error))
            }
            result => result.map_err(|error| self.explain(error)),
        }
    }

    async fn sign_in(&mut self) -> Result<(), DoorError> {
        if let Some(admin) = &self.again {
            let signed_in = self.api.sign_in(&admin.email, &admin.password).await;
            self.api = signed_in.map_err(|error| self.explain(error))?;
        }
        Ok(())
    }

    fn explain(&self, error: ApiError) -> DoorError {
        match error {
            ApiError::Transport { why, .. } => DoorError::Away { base: self.base.clone(), why },
            ApiError::Status { status: StatusCode::UNAUTHORIZED, .. } => DoorError::Unknown { base: self.base.clone() },
            ApiError::Status { status: StatusCode::FORBIDDEN, .. } => DoorError::NotAdmin,
            ApiError::Status { status, body, .. } => refused(status, &body),
            ApiError::Body { .. } => DoorError::Strange(error.to_string()),
        }
    }
}

fn joint(path: &str) -> char {
    if path.contains('?') { '&' } else { '?' }
}

fn refused(status: StatusCode, body: &str) -> DoorError {
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    let text = |name: &str| problem[name].as_str().map(str::to_owned);
    let code = text("code").unwrap_or_else(|| status.to_string());
    let words = [text("detail"), text("title")].into_iter().flatten().next();
    DoorError::Refused { code, detail: words.unwrap_or_else(|| body.to_owned()), status }
}

/// The folder of the cluster that is meant.
pub(crate) fn folder(args: &ApiArgs) -> PathBuf {
    match (&args.data, std::env::current_dir()) {
        (Some(data), _) => data.clone(),
        (None, Ok(here)) => repository(&here).join(".keystone"),
        (None, Err(_)) => PathBuf::from(".keystone"),
    }
}

fn read_admin(folder: &Path) -> Result<Admin, DoorError> {
    let file = folder.join("admin.json");
    match std::fs::read(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(DoorError::NoCluster { file }),
        Err(error) => Err(DoorError::File { file, why: error.to_string() }),
        // The reason could quote the password.
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|_| DoorError::File { file, why: "it is damaged".to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_in_the_words_of_the_problem() {
        let body = r#"{"code":"node-not-found","title":"No such node","detail":"there is no node x"}"#;
        assert_eq!(refused(StatusCode::NOT_FOUND, body).to_string(), "node-not-found: there is no node x");
        assert_eq!(refused(StatusCode::BAD_GATEWAY, "oops").to_string(), "502 Bad Gateway: oops");
    }

    #[test]
    fn a_missing_or_damaged_file_says_what_to_do_and_nothing_secret() {
        let dir = std::env::temp_dir().join(format!("keystone-door-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        assert!(read_admin(&dir).unwrap_err().to_string().contains("keystone up"));
        std::fs::write(dir.join("admin.json"), r#"{"password":"hunter22"#).unwrap();
        let damaged = read_admin(&dir).unwrap_err().to_string();
        assert!(damaged.contains("damaged") && !damaged.contains("hunter22"), "{damaged}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
