//! The port, and the threads behind it.

use super::{batch::Socket, seats::Seats, shard::Shard};
use crate::front::Front;
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    rc::Rc,
    thread::JoinHandle,
};
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Threads at most: one carries some hundred thousand datagrams a second.
const THREADS_MAX: usize = 4;

/// A bound port whose threads serve it until it is stopped.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
    /// Dropped: the threads end.
    stop: DropGuard,
}

impl Listener {
    /// Binds the port and starts the threads. Admission runs on the runtime that calls this.
    ///
    /// # Errors
    /// The port is taken, or there is no room for a thread.
    pub fn start(at: SocketAddr, front: &Front) -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let (sockets, address) = bind(at, threads)?;
        let (stop, seats, main) = (CancellationToken::new(), Seats::default(), Handle::current());
        let mut started = Self { address, threads: Vec::with_capacity(threads), stop: stop.clone().drop_guard() };
        for socket in sockets {
            let (front, main, seats, stop) = (front.clone(), main.clone(), seats.clone(), stop.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
            let work = move || {
                runtime.block_on(async {
                    match Socket::new(socket) {
                        Ok(socket) => Rc::new(Shard::new(front, main, socket, seats, stop)).run().await,
                        Err(error) => tracing::error!(%error, "an SRT socket cannot be used"),
                    }
                });
            };
            started.threads.push(std::thread::Builder::new().name("srt".to_owned()).spawn(work)?);
        }
        Ok(started)
    }

    /// Where it listens, also when the setting was port 0.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells every caller and node that it is over, and ends the threads.
    pub async fn stop(self) {
        drop(self.stop);
        let joined = tokio::task::spawn_blocking(move || {
            self.threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count()
        });
        match joined.await {
            Ok(0) => {}
            Ok(_) | Err(_) => tracing::error!("an SRT thread panicked"),
        }
    }
}

/// Sockets on one port. The first takes it for this process alone; then the others join it.
fn bind(at: SocketAddr, count: usize) -> io::Result<(Vec<UdpSocket>, SocketAddr)> {
    let make = || -> io::Result<socket2::Socket> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(at), socket2::Type::DGRAM, None)?;
        if at.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        Ok(socket)
    };
    let first = make()?;
    first.bind(&at.into())?;
    first.set_reuse_port(true)?;
    let first = UdpSocket::from(first);
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count {
        let socket = make()?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        sockets.push(socket.into());
    }
    Ok((sockets, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_share_a_port_that_nobody_else_gets() {
        let any = "127.0.0.1:0".parse().unwrap();
        let (sockets, address) = bind(any, 3).unwrap();
        assert_eq!(sockets.len(), 3);
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
        assert_eq!(bind(address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
