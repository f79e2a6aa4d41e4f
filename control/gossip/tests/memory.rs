//! What a session costs, as the operating system counts it.

use gossip::{Core, Keys, Now, Origin};
use proto::{
    ClientId, ControlId, EdgeId, NodeId, ServiceId, SessionId, StreamId, UserId,
    secret::{ClusterSecret, Keyring},
    session::{Known, Protocol, Role, Session},
};

const SESSIONS: u64 = 1_000_000;
/// Bytes a session may take, all included.
const BYTES_MAX: u64 = 300;

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[test]
fn a_session_takes_few_bytes() {
    let now = Now { mono_ms: 0, unix_ms: 1_790_000_000_000 };
    let keys = Keys::new(&Keyring { current: ClusterSecret::from_setting("k"), previous: None });
    let me = Origin { control: ControlId::parse("c-a").unwrap(), incarnation: 1 };
    let mut core = Core::new(me, keys, 1, now);
    let mut known = Known {
        session: Session {
            id: SessionId::from_bytes([0; 16]),
            stream: StreamId::parse("cam").unwrap(),
            role: Role::Play,
            protocol: Protocol::Webrtc,
            node: NodeId::parse("node-1").unwrap(),
            service: ServiceId::parse("vid-4h5663e").unwrap(),
            client_id: ClientId::parse("c").unwrap(),
            edge: EdgeId::parse("e-abcdefghij").ok(),
            ip: "192.0.2.1".parse().ok(),
            epoch: 1,
            broadcast: None,
            opened_at: time::OffsetDateTime::UNIX_EPOCH,
            closed_at: None,
            reason: None,
        },
        owner: Some(UserId::from_bytes([3; 16])),
        credential: None,
    };
    let Some(before) = resident_bytes() else { return };
    for n in 0..SESSIONS {
        let session = &mut known.session;
        session.id = SessionId::from_bytes(((u128::from(now.unix_ms + n / 10) << 80) | u128::from(n)).to_be_bytes());
        session.client_id = ClientId::parse(&format!("{n:08x}")).unwrap();
        if n % 50 == 0 {
            session.stream = StreamId::parse(&format!("stream-{:08x}", n / 50)).unwrap();
            known.owner = Some(UserId::from_bytes(u128::from(n / 500).to_be_bytes()));
        }
        core.open(now, &known);
    }
    core.outputs();
    let used = resident_bytes().unwrap_or(0).saturating_sub(before);
    let each = used / SESSIONS;
    assert_eq!(core.size().open as u64, SESSIONS);
    assert!(each <= BYTES_MAX, "{each} bytes a session");
    assert!(each > 100, "the measurement saw nothing: {each}");
}
