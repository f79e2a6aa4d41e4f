//! The cluster's secrets: made once, published, rotated.
use crate::helpers::{JWT_SECRET, Test, settings, until};
use control::{
    app::App,
    cli::set_up,
    secrets::{
        load, publish,
        rotate::{RotateError, rotate},
    },
    store::pg::secrets::Kind,
};
use kit::testing::TestRedis;
use proto::{keys, secret::PublishedSecrets};
use secrecy::SecretString;
use serde_json::json;

async fn published(test: &Test) -> PublishedSecrets {
    until("secrets are published", async || test.control.state.kv.json(keys::SECRETS).await.unwrap()).await
}

#[actix_web::test]
async fn several_migrations_at_once_make_one_set_of_secrets() {
    kit::tls::install_provider();
    let database = crate::helpers::Database::empty().await;
    let redis = TestRedis::start();
    let config = settings(&database.url, &redis.url(), &[]);
    let runs = futures_util::future::join_all((0..4).map(|_| set_up(&config))).await;
    assert!(runs.iter().all(Result::is_ok), "{runs:?}");
    let client = kit::pg::direct(&SecretString::from(database.url.clone())).await.unwrap();
    let rows = client.query("SELECT kind FROM secrets ORDER BY kind", &[]).await.unwrap();
    let kinds: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(kinds, ["cluster", "stream_key", "token_key"]);
    drop(client);
    database.drop_it().await;
}

#[actix_web::test]
async fn another_jwt_secret_does_not_start() {
    let test = Test::start().await;
    let other = [("JWT_SECRET", "a secret that sealed nothing here, at all")];
    let error = App::build(settings(&test.database.url, &test.redis.url(), &other)).await.unwrap_err();
    assert!(format!("{error:#}").contains("JWT_SECRET"), "{error:#}");
    test.stop().await;
}

#[actix_web::test]
async fn rotation_overlaps_and_ends_nothing() {
    let test = Test::start().await;
    let state = &test.control.state;
    let ann = test.control.user("ann").await;
    let id = test.control.stream(&ann, "private").await.stream.id;
    let tokens = format!("/v1/streams/{id}/tokens");
    let before = published(&test).await;
    let token = test.control.post(&tokens, Some(&ann), json!({ "action": "play" })).await.is(201).body;
    let token = token["token"].as_str().unwrap().to_owned();

    let sealer = control::secrets::seal::Sealer::new(JWT_SECRET, None);
    let mut client = kit::pg::direct(&SecretString::from(test.database.url.clone())).await.unwrap();
    for kind in [Kind::Cluster, Kind::TokenKey] {
        rotate(&mut client, &sealer, kind, false).await.unwrap();
    }
    let again = rotate(&mut client, &sealer, Kind::Cluster, true).await;
    assert!(matches!(again, Err(RotateError::Pending)), "{again:?}");

    // Told to everybody, not in use yet.
    load(state).await.unwrap();
    publish(&state.kv, &state.secrets().unwrap()).await.unwrap();
    let told = published(&test).await;
    assert_eq!(told.current, before.current);
    assert!(told.previous.is_some() && told.token_keys.len() == 2);

    // Half a minute later.
    test.database.run("UPDATE secrets SET active_from = active_from - interval '31 s'").await;
    load(state).await.unwrap();
    publish(&state.kv, &state.secrets().unwrap()).await.unwrap();
    let after = published(&test).await;
    assert_eq!(
        (after.current.as_str(), after.previous.as_deref()),
        (told.previous.as_deref().unwrap(), Some(before.current.as_str()))
    );
    assert_eq!(after.stream_key, before.stream_key, "stream keys outlive every rotation");
    let media = kit::token::MediaKeys::new(&after.token_keys);
    assert!(media.verify(&token, kit::clock::unix()).is_ok(), "a token signed before the rotation");
    let new = test.control.post(&tokens, Some(&ann), json!({ "action": "play" })).await.is(201).body;
    let new = new["token"].as_str().unwrap().to_owned();
    assert!(kit::token::MediaKeys::new(&before.token_keys).verify(&new, kit::clock::unix()).is_err());
    assert!(media.verify(&new, kit::clock::unix()).is_ok());

    let again = rotate(&mut client, &sealer, Kind::Cluster, false).await;
    assert!(matches!(again, Err(RotateError::Overlap { .. })), "{again:?}");
    rotate(&mut client, &sealer, Kind::Cluster, true).await.unwrap();
    rotate(&mut client, &sealer, Kind::TokenKey, false).await.unwrap();
    drop(client);
    test.stop().await;
}

#[actix_web::test]
async fn edge_secret_overrides() {
    let test =
        Test::start_with(&[("EDGE_SECRET", "an operator's secret"), ("EDGE_SECRET_PREVIOUS", "the one before that")])
            .await;
    let told = published(&test).await;
    let made = |text| proto::secret::ClusterSecret::from_setting(text).encode();
    assert_eq!((told.current, told.previous), (made("an operator's secret"), Some(made("the one before that"))));
    test.stop().await;
}
