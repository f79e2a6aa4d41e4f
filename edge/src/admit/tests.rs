//! Admission with Redis and control-api away.

use super::*;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use futures_util::{FutureExt as _, future::BoxFuture};
use kit::{
    kv::{KvStore, News},
    token::MediaSigner,
};
use proto::{
    EdgeId,
    secret::{ClusterSecret, PublishedSecrets},
    stream::Visibility,
    stream_key::StreamKey,
    token::{ISSUER, MEDIA_AUDIENCE, PublicKey},
};

#[derive(Debug)]
struct Away;

impl KvStore for Away {
    fn run(&self, _: Vec<Cmd>) -> BoxFuture<'_, Result<Vec<Reply>, KvError>> {
        async { Err(KvError::Away) }.boxed()
    }

    fn subscribe(&self, _: Vec<String>) -> BoxFuture<'_, Result<(), KvError>> {
        async { Err(KvError::Away) }.boxed()
    }

    fn news(&self) -> tokio::sync::broadcast::Receiver<News> {
        tokio::sync::broadcast::channel(1).1
    }

    fn connected(&self) -> bool {
        false
    }
}

struct World {
    admission: Admission,
    replica: Replica,
    signer: MediaSigner,
    metrics: Metrics,
}

fn world(limit: &str) -> World {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = data_encoding::BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    let replica = Replica::new(None);
    replica.learn_secrets(&PublishedSecrets {
        current: ClusterSecret::from_setting("one").encode(),
        previous: None,
        stream_key: ClusterSecret::from_bytes([7; 32]).encode(),
        token_keys: vec![PublicKey { kid: "k".into(), x }],
    });
    let metrics = Metrics::new().unwrap();
    let control = Control::new(&[], replica.clone(), EdgeId::parse("e").unwrap(), metrics.clone()).unwrap();
    let limit = limit.parse().unwrap();
    let admission = Admission::new(AuthMode::Token, limit, Kv::new(Away), replica.clone(), control, metrics.clone());
    let signer = MediaSigner::new("k".into(), pair.to_pkcs8v1().unwrap().as_ref());
    World { admission, replica, signer, metrics }
}

fn cam() -> StreamId {
    StreamId::parse("cam").unwrap()
}

impl World {
    fn token(&self, action: Role, single_use: bool) -> String {
        let claims = MediaClaims {
            iss: ISSUER.into(),
            aud: MEDIA_AUDIENCE.into(),
            jti: TokenId::from_bytes([1; 16]),
            stream: cam(),
            action,
            iat: 0,
            exp: u64::MAX / 2,
            single_use,
            ip: None,
        };
        self.signer.sign(&claims).unwrap()
    }

    async fn publish(&self, credential: &str) -> Result<Admitted, ApiError> {
        let (stream, session) = (cam(), SessionId::from_bytes([9; 16]));
        let ask = Ask { stream: &stream, credential: Some(credential), client: [192, 0, 2, 1].into(), session };
        self.admission.publish(ask).await
    }

    async fn play(&self, credential: Option<&str>) -> Result<Admitted, ApiError> {
        let (stream, session) = (cam(), SessionId::from_bytes([9; 16]));
        self.admission.play(Ask { stream: &stream, credential, client: [192, 0, 2, 1].into(), session }, true).await
    }
}

#[tokio::test]
async fn tokens_pass_on_signature_unless_revoked_and_single_use_ones_wait() {
    let world = world("off");
    let (once, many) = (world.token(Role::Publish, true), world.token(Role::Publish, false));
    assert_eq!(world.publish(&once).await.unwrap_err(), ApiError::Away { what: "redis" });
    assert!(world.publish(&many).await.unwrap().taken.is_none());
    assert!(world.metrics.render().contains("keystone_edge_degraded_total{what=\"token\"} 1"));
    world.replica.learn_revoked(TokenId::from_bytes([1; 16]), u64::MAX);
    for token in [&once, &many] {
        assert_eq!(world.publish(token).await.unwrap_err(), ApiError::TokenInvalid(Fault::Revoked));
    }
}

#[tokio::test]
async fn a_key_that_nobody_can_look_up_waits_and_a_made_up_one_is_refused_all_the_same() {
    let world = world("off");
    let key = StreamKey::make(&cam(), [1; 16], &[7; 32]);
    assert_eq!(world.publish(key.expose()).await.unwrap_err(), ApiError::Away { what: "control-api" });
    let made_up = StreamKey::make(&cam(), [1; 16], b"guess");
    assert_eq!(world.publish(made_up.expose()).await.unwrap_err(), ApiError::TokenInvalid(Fault::Unknown));
}

#[tokio::test]
async fn a_stream_stays_as_visible_as_it_was_and_an_unknown_one_counts_as_private() {
    let world = world("off");
    assert_eq!(world.play(None).await.unwrap_err(), ApiError::TokenMissing);
    assert!(world.play(Some(&world.token(Role::Play, false))).await.is_ok());
    world.replica.learn_visibility(&cam(), Visibility::Public);
    assert!(world.play(None).await.is_ok());
    world.replica.forget_stream(&cam());
    assert_eq!(world.play(None).await.unwrap_err(), ApiError::TokenMissing);
}

#[tokio::test]
async fn limits_are_kept_in_memory() {
    let world = world("1:2");
    world.replica.learn_visibility(&cam(), Visibility::Public);
    assert!(world.play(None).await.is_ok() && world.play(None).await.is_ok());
    assert!(matches!(world.play(None).await, Err(ApiError::RateLimited { .. })));
    assert!(world.admission.limit("patch", [192, 0, 2, 1].into()).await.is_ok(), "each kind has its own");
}
