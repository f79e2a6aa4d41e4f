//! Owners of known keys, frozen: if this fails, an upgrade would move live streams. `vectors/ring.tsv` was written by `vectors/golden.py`,
//! which knows the ring but not this code.

use placement::{Member, Ring, Weight};
use proto::NodeId;
use std::collections::BTreeMap;

fn member(id: &str, weight: u64) -> Member {
    Member { weight: Weight::new(weight).expect("in range"), ..Member::new(NodeId::parse(id).expect("an id")) }
}

fn members(set: &str) -> Vec<Member> {
    match set {
        "one" => vec![member("solo", 1)],
        "two" => vec![member("srs-a", 1), member("srs-b", 1)],
        "weighted" => [("small", 1), ("double", 2), ("triple", 3), ("large", 10), ("huge", 100)]
            .map(|(id, w)| member(id, w))
            .to_vec(),
        "fifty" => (0..50).map(|number| member(&format!("node-{number:03}"), 1)).collect(),
        other => panic!("no set {other}"),
    }
}

#[test]
fn known_keys_keep_their_owners() {
    let golden = include_str!("vectors/ring.tsv");
    let mut lines = 0;
    let mut rings: BTreeMap<&str, Ring> = BTreeMap::new();
    for line in golden.lines() {
        let [set, key, owners] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let ring = rings.entry(set).or_insert_with(|| Ring::build(&members(set)).unwrap());
        let found: Vec<&str> = ring.owners(key.as_bytes()).take(3).map(|member| member.id.as_str()).collect();
        assert_eq!(found.join(","), owners, "{set} {key:?}");
        assert_eq!(ring.owner(key.as_bytes()).map(|member| member.id.as_str()), owners.split(',').next());
        lines += 1;
    }
    assert_eq!(lines, 260);
}
