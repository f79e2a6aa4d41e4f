//! What takes too long for every change: `make test-all` runs it, `make test` does not.
use crate::{clients::third_party, support::Up};
use keystone::config::Media;

#[tokio::test]
async fn every_client_with_real_srs() {
    let name = "every_client_with_real_srs";
    if let Some(up) = Up::start_srs(name).await {
        third_party(&up, "all", name).await;
        up.stop().await;
    }
}

#[tokio::test]
async fn every_client_with_the_built_in_node() {
    let up = Up::start(Media::Builtin).await;
    third_party(&up, "all", "every_client_with_the_built_in_node").await;
    up.stop().await;
}
