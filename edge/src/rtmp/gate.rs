//! How many connections there may be, in all and from one address.

use super::{CONNECTIONS_MAX, HALF_OPEN_MAX, HALF_OPEN_PER_ADDRESS_MAX, PER_ADDRESS_MAX};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// There are too many.
    All,
    /// There are too many from its address.
    Address,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    open: usize,
    half: usize,
}

#[derive(Debug, Default)]
struct State {
    all: Count,
    by: HashMap<IpAddr, Count>,
}

/// The counts of one edge's RTMP, shared by its listeners.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<Mutex<State>>);

/// One connection's place; given up when dropped.
#[derive(Debug)]
pub(super) struct Place {
    gate: Gate,
    /// `None`: a proxy's, whose client is not known yet.
    address: Option<IpAddr>,
    half: bool,
}

impl Gate {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A place for a connection that has said nothing yet, of that address or of a proxy that will say whose it is.
    pub(super) fn enter(&self, address: Option<IpAddr>) -> Result<Place, Full> {
        let address = address.map(whose);
        self.with(|state| {
            if state.all.open >= CONNECTIONS_MAX || state.all.half >= HALF_OPEN_MAX {
                return Err(Full::All);
            }
            let count = address.and_then(|address| state.by.get(&address).copied()).unwrap_or_default();
            if count.open >= PER_ADDRESS_MAX || count.half >= HALF_OPEN_PER_ADDRESS_MAX {
                return Err(Full::Address);
            }
            state.add(address, true);
            Ok(Place { gate: self.clone(), address, half: true })
        })
    }

    #[cfg(test)]
    fn count(&self) -> (usize, usize, usize) {
        self.with(|state| (state.all.open, state.all.half, state.by.len()))
    }
}

impl State {
    fn add(&mut self, address: Option<IpAddr>, half: bool) {
        self.all.add(half);
        if let Some(address) = address {
            self.by.entry(address).or_default().add(half);
        }
    }

    fn remove(&mut self, address: Option<IpAddr>, half: bool) {
        self.all.remove(half);
        if let Some(address) = address
            && let Some(by) = self.by.get_mut(&address)
        {
            by.remove(half);
            if by.open == 0 {
                self.by.remove(&address);
            }
        }
    }
}

impl Count {
    const fn add(&mut self, half: bool) {
        self.open += 1;
        self.half += half as usize;
    }

    const fn remove(&mut self, half: bool) {
        self.open = self.open.saturating_sub(1);
        self.half = self.half.saturating_sub(half as usize);
    }
}

impl Place {
    /// A proxy's turns out to be of that address.
    pub(super) fn moved(self, address: IpAddr) -> Result<Self, Full> {
        let gate = self.gate.clone();
        drop(self);
        gate.enter(Some(address))
    }

    /// It has said what it wants.
    pub(super) fn heard(&mut self) {
        if std::mem::take(&mut self.half) {
            self.gate.with(|state| {
                state.all.half = state.all.half.saturating_sub(1);
                if let Some(count) = self.address.and_then(|address| state.by.get_mut(&address)) {
                    count.half = count.half.saturating_sub(1);
                }
            });
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.with(|state| state.remove(self.address, self.half));
    }
}

/// A customer of IPv6 has a /64 of it.
fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn an_address_has_its_share_and_gives_it_back() {
        let gate = Gate::default();
        let mut places: Vec<_> = (0..HALF_OPEN_PER_ADDRESS_MAX).map(|_| gate.enter(ip("192.0.2.1")).unwrap()).collect();
        assert_eq!(gate.enter(ip("::ffff:192.0.2.1")).unwrap_err(), Full::Address);
        assert!(gate.enter(ip("192.0.2.2")).is_ok());
        places.iter_mut().for_each(Place::heard);
        places.iter_mut().for_each(Place::heard);
        assert_eq!(gate.count(), (HALF_OPEN_PER_ADDRESS_MAX, 0, 1));
        let more = gate.enter(None).unwrap().moved(ip("203.0.113.9").unwrap()).unwrap();
        assert_eq!(gate.count(), (HALF_OPEN_PER_ADDRESS_MAX + 1, 1, 2));
        drop((places, more));
        assert_eq!(gate.count(), (0, 0, 0));
    }

    #[test]
    fn one_network_of_ipv6_counts_as_one() {
        let gate = Gate::default();
        let places: Vec<_> =
            (0..HALF_OPEN_PER_ADDRESS_MAX).map(|at| gate.enter(ip(&format!("2001:db8::{at:x}"))).unwrap()).collect();
        assert_eq!(gate.enter(ip("2001:db8::ffff")).unwrap_err(), Full::Address);
        assert!(gate.enter(ip("2001:db8:0:1::1")).is_ok());
        drop(places);
    }

    #[test]
    fn all_together_are_bounded() {
        let gate = Gate::default();
        let address = |at: usize| Some(IpAddr::from(u32::try_from(at / 10).unwrap().to_be_bytes()));
        let places: Vec<_> = (0..HALF_OPEN_MAX).map(|at| gate.enter(address(at)).unwrap()).collect();
        assert_eq!(gate.enter(ip("203.0.113.1")).unwrap_err(), Full::All);
        drop(places);
    }
}
