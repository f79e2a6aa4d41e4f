//! A control node that tells the others different things under one number: what a fault in the gossip would look like to its peers.
use crate::{observe::Watched, support::eventually};
use gossip::{Core, Keys, Now, Origin, Output};
use kit::{
    clock,
    env::Env,
    kv::{Cmd, Kv, Redis, RedisConfig},
};
use proto::{
    ClientId, ControlId, EdgeId, NodeId, ServiceId, SessionId, StreamId,
    fleet::EdgeInfo,
    keys,
    secret::{ClusterSecret, Keyring, PublishedSecrets},
    session::{Known, Protocol, Role, Session},
};
use std::collections::BTreeMap;
use time::OffsetDateTime;

impl Watched {
    /// Tells each control node of another viewer, under the same number. Viewers of HLS, whom no media node knows and so no comparison ends.
    /// Then restarts one of the two, as the runbook says, after which they hold the same.
    pub(crate) async fn two_faced_control(&mut self, stream: &StreamId) {
        let kv = self.redis().await;
        let secrets: PublishedSecrets = kv.json(keys::SECRETS).await.unwrap().unwrap();
        let keys = Keys::new(&Keyring { current: ClusterSecret::decode(&secrets.current).unwrap(), previous: None });
        let edges = kv.one(Cmd::hgetall(keys::EDGES)).await.unwrap().map().unwrap();
        let edge: EdgeInfo = serde_json::from_slice(edges.values().next().unwrap()).unwrap();
        let controls = kv.one(Cmd::hgetall(keys::CONTROLS)).await.unwrap().map().unwrap();
        assert_eq!(controls.len(), 2);
        // The last by its name, so that one of the others adopts what it told.
        let me = Origin { control: ControlId::parse("zz-two-faced").unwrap(), incarnation: clock::unix_ms() };
        let now = Now { mono_ms: 0, unix_ms: clock::unix_ms() };
        for (face, control) in (1..).zip(controls.keys()) {
            let mut core = Core::new(me.clone(), keys.clone(), face, now);
            core.channel_up(now);
            drop(core.outputs());
            core.open(now, &viewer(stream, &edge.id, [u8::try_from(face).unwrap(); 16]));
            core.tick(Now { mono_ms: gossip::limits::FLUSH_MS, ..now });
            let channel = keys::control_channel(&ControlId::parse(control).unwrap());
            for output in core.outputs() {
                if let Output::Publish(bytes) = output {
                    assert_eq!(kv.one(Cmd::publish(&channel, &bytes)).await.unwrap().int().unwrap(), 1, "{control}");
                }
            }
        }
        self.rises(&["KeystoneGossipDiverged"]).await;
        self.up.cluster.children().stop_one("control-1").await.unwrap();
        self.up.cluster.children().start_again("control-1").await.unwrap();
        // Twice as long as it takes to find a difference.
        self.scraped("sum(increase(keystone_control_gossip_diverged_total[12s])) == 0").await;
    }

    async fn redis(&self) -> Kv {
        let redis = &self.up.cluster.plan().redis;
        let settings = [("REDIS_ADDR", redis.address().to_string()), ("REDIS_PASSWORD", redis.password.clone())];
        let mut env = Env::new(BTreeMap::from(settings.map(|(name, value)| (name.to_owned(), value))));
        let kv = Redis::connect(&RedisConfig::read(&mut env)).await.unwrap();
        eventually("Redis answers", async || kv.ping().await.ok()).await;
        kv
    }
}

fn viewer(stream: &StreamId, edge: &EdgeId, id: [u8; 16]) -> Known {
    let id = SessionId::from_bytes(id);
    let session = Session {
        id,
        stream: stream.clone(),
        role: Role::Play,
        protocol: Protocol::Hls,
        node: NodeId::parse("node-0").unwrap(),
        service: ServiceId::parse("none").unwrap(),
        client_id: ClientId::parse(&id.to_string()).unwrap(),
        edge: Some(edge.clone()),
        ip: None,
        epoch: 1,
        broadcast: None,
        opened_at: OffsetDateTime::from_unix_timestamp(clock::unix().try_into().unwrap()).unwrap(),
        closed_at: None,
        reason: None,
    };
    Known { session, owner: None, credential: None }
}
