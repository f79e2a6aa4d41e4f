//! Messages between control nodes: as they come, and sealed as the cluster would, or nothing would be read behind the seal.

use super::any;
use gossip::{Core, Keys, Now, Origin};
use proto::{
    ControlId,
    secret::{ClusterSecret, Keyring, Purpose, mac},
};

/// The clock of the receiver; seeds were sent a moment before.
const NOW: Now = Now { mono_ms: 1_010, unix_ms: 1_790_000_000_010 };
/// Bytes of a seal.
const SEAL_BYTES: usize = 16;

/// A message is taken or refused; a node goes on either way.
pub(crate) fn run(data: &[u8]) {
    let keyring = Keyring { current: ClusterSecret::from_setting("fuzz"), previous: None };
    let me = Origin { control: ControlId::parse("c2").expect("a name"), incarnation: 1 };
    let mut core = Core::new(me, Keys::new(&keyring), 1, NOW);
    core.channel_up(NOW);
    any(core.message(NOW, data));
    let mut sealed = data.to_vec();
    let seal = mac(&keyring.current.key(Purpose::Gossip), &[&sealed]);
    sealed.extend_from_slice(seal.get(..SEAL_BYTES).unwrap_or_default());
    if core.message(NOW, &sealed).is_ok() {
        // Hearing it twice changes nothing.
        let digest = core.digest();
        any(core.message(NOW, &sealed));
        assert_eq!(core.digest(), digest);
    }
    core.tick(Now { mono_ms: NOW.mono_ms + 1_000, unix_ms: NOW.unix_ms + 1_000 });
    any(core.outputs());
}
