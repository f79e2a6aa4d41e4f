//! The short form of `make chaos`: a media node is killed and an edge, with a small audience on the built-in node. What it costs in time is promised for a
//! machine that has nothing else to do, so only `make chaos` judges that.
use crate::support::{Scratch, repository};
use keystone::{
    chaos::{Kind, Outcome, Settings, run},
    config::{Config, Media},
    ports::Shape,
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn sessions_that_can_live_outlive_a_node_and_an_edge_and_the_others_come_back() {
    let dir = Scratch::new("chaos");
    let settings = Settings {
        shape: Shape { controls: 2, edges: 2, nodes: 3 },
        publishers: 6,
        viewers: 12,
        media: Some(Media::Builtin),
        faults: vec![Kind::Node, Kind::Edge],
        redis_away: Duration::ZERO,
        data: dir.path().join("data"),
    };
    let config = Config::from_process().unwrap();
    let Outcome { rows, seated, .. } =
        Box::pin(run(&settings, &repository(), &config, &CancellationToken::new())).await.unwrap();
    assert_eq!(seated, 18, "everybody has media before anything is broken");
    let [node, edge] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(node.losses.lost, node.losses.had_to, "who was on the node, and nobody else: {node:?}");
    assert!(node.losses.had_to >= 3, "the busiest of three nodes has two publishers and their viewers: {node:?}");
    assert!(
        edge.losses.needless.is_empty(),
        "who was on the edge, who watches somebody on it, and nobody else: {edge:?}"
    );
    for row in &rows {
        assert!(row.failed.is_none() && row.detect.is_some(), "done, and known: {row:?}");
        assert!(row.losses.out.is_empty(), "who lost a session has media again: {row:?}");
        assert!(row.equal.is_ok(), "the tables of both control-apis and of the nodes are equal again: {row:?}");
        let brief = row.doubles.seen().values().all(Duration::is_zero);
        assert!(brief, "no stream had two publishers at two looks in a row: {row:?}");
    }
}
