//! Starting a cluster for one test.
use keystone::{
    api::Api,
    cluster::Cluster,
    config::{Config, Media},
    plan::{Options, PortBase},
    secrets::random_text,
};
use proto::{
    api::{CreateStream, CreateToken, IssuedToken, Stream},
    ids::StreamId,
    session::Role,
    stream::Visibility,
};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Longest wait for anything; a condition that holds returns at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The checkout.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// A folder that is gone with the value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("keystone-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A running cluster and an account on it.
pub(crate) struct Up {
    pub(crate) cluster: Cluster,
    /// The administrator.
    pub(crate) admin: Api,
    /// Somebody who registered.
    pub(crate) user: Api,
    _dir: Scratch,
}

impl Up {
    /// Two of everything with the given media nodes.
    pub(crate) async fn start(media: Media) -> Self {
        Self::start_with(media, |options| options).await
    }

    /// The same for clients that come to `host`.
    pub(crate) async fn start_at(media: Media, host: IpAddr) -> Self {
        Self::start_with(media, |options| Options { host, ..options }).await
    }

    /// The same with other options.
    pub(crate) async fn start_with(media: Media, change: impl FnOnce(Options) -> Options) -> Self {
        let dir = Scratch::new("cluster");
        let options = Options {
            ports: PortBase::Free,
            media: Some(media),
            data: dir.path().join("data"),
            ..Options::in_repository(&repository())
        };
        let (options, config) = (change(options), Config::from_process().unwrap());
        let cluster =
            Cluster::start(options, &config, &CancellationToken::new()).await.unwrap_or_else(|error| panic!("{error}"));
        let account = cluster.admin();
        let anyone = Api::new(&account.api);
        let admin = anyone.sign_in(&account.email, &account.password).await.unwrap();
        let (email, password) = (format!("t{}@example.com", std::process::id()), random_text());
        anyone.register(&email, &password, "Tester").await.unwrap();
        let user = anyone.sign_in(&email, &password).await.unwrap();
        Self { cluster, admin, user, _dir: dir }
    }

    /// The same with real SRS, or `None` (and a word about it) where there is none.
    pub(crate) async fn start_srs(test: &str) -> Option<Self> {
        Self::start_srs_with(test, |options| options).await
    }

    /// The same with other options.
    pub(crate) async fn start_srs_with(test: &str, change: impl FnOnce(Options) -> Options) -> Option<Self> {
        if !has_srs() {
            kit::testing::skipped(test, "there is no SRS 5 or later on the PATH or in SRS_BIN");
            return None;
        }
        Some(Self::start_with(Media::Srs, change).await)
    }

    pub(crate) fn whip(&self, stream: &StreamId) -> String {
        format!("{}/rtc/v1/whip/{stream}", self.cluster.origin())
    }

    pub(crate) fn whep(&self, stream: &StreamId) -> String {
        format!("{}/rtc/v1/whep/{stream}", self.cluster.origin())
    }

    pub(crate) async fn stream(&self, visibility: Visibility) -> Stream {
        let body = CreateStream { title: "Test".to_owned(), visibility };
        self.user.create_stream(&body).await.unwrap().stream
    }

    pub(crate) async fn token(&self, stream: &StreamId, action: Role) -> IssuedToken {
        let body = CreateToken { action, ttl_seconds: Some(600), single_use: false, ip: None };
        self.user.create_token(stream, &body).await.unwrap()
    }

    /// Edge ids with the ports they listen on.
    pub(crate) async fn edges(&self) -> Vec<(String, u16)> {
        let known = self.admin.edges().await.unwrap().items;
        known
            .into_iter()
            .map(|edge| (edge.id.to_string(), edge.listen.rsplit(':').next().unwrap().parse().unwrap()))
            .collect()
    }

    /// Ends it, and checks that nobody had to be killed.
    pub(crate) async fn stop(self) {
        let killed = self.cluster.stop().await;
        assert!(killed.is_empty(), "had to be killed: {killed:?}");
    }
}

/// Whether real SRS can be tested here.
pub(crate) fn has_srs() -> bool {
    keystone::tools::media(&Config::from_process().unwrap(), Media::Srs).is_ok()
}

/// Asks again until `probe` gives something.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            if let Some(value) = probe().await {
                return value;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}
