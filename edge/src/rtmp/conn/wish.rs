//! From a client's first byte to what it wants, and from there to a node that has accepted it.

use super::super::{
    EARLY_BYTES_MAX, HANDSHAKE_WITHIN, WISH_WITHIN,
    buffers::BUFFER_LEN,
    close::close,
    node::{self, Opened},
    refusal::Refusal,
    socket::Socket,
};
use crate::{
    error::ApiError,
    front::{Front, GrantRequest, Lease},
    metrics::rtmp::{Ended, Refused},
};
use proto::{
    session::Protocol,
    wire::rtmp::session::{Ask, Heard, Server, SessionError},
};
use std::{net::IpAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

/// Bytes that are read at a time, until media flows.
const FILL_LEN: usize = 2048;

/// Why a client is not heard to the end.
#[derive(Debug)]
pub(super) enum Unheard {
    /// It broke a rule.
    Wrong(SessionError),
    /// It took too long.
    Slow,
}

/// What became of a wish.
pub(super) enum Granted {
    /// A node has accepted the stream.
    Open(Box<Lease>, Box<Opened>),
    /// The client is gone.
    Gone,
    /// It may not, or nobody can serve it.
    Refused(ApiError),
}

/// A client that has not got a stream.
pub(super) struct Wisher {
    socket: Socket,
    /// Bytes that were read and not used.
    read: Vec<u8>,
    /// How long it gets for its next wish.
    within: Duration,
}

impl Wisher {
    pub(super) const fn new(socket: Socket) -> Self {
        Self { socket, read: Vec::new(), within: HANDSHAKE_WITHIN }
    }

    /// A client that has ended a stream.
    pub(super) const fn again(socket: Socket, read: Vec<u8>) -> Self {
        Self { socket, read, within: WISH_WITHIN }
    }

    pub(super) fn into_socket(self) -> Socket {
        self.socket
    }

    pub(super) fn into_parts(self) -> (Socket, Vec<u8>) {
        (self.socket, self.read)
    }

    /// Hears what the client wants; [`Heard::More`] if it hangs up instead.
    pub(super) async fn hear(&mut self, server: &mut Server) -> Result<Heard, Unheard> {
        let within = self.within;
        if !server.greeted() {
            match timeout(within, self.hear_until(server, Server::greeted)).await.map_err(|_| Unheard::Slow)? {
                Ok(Heard::More) if server.greeted() => {}
                other => return other.map_err(Unheard::Wrong),
            }
        }
        let heard = timeout(WISH_WITHIN, self.hear_until(server, |_| false)).await.map_err(|_| Unheard::Slow)?;
        heard.map_err(Unheard::Wrong)
    }

    /// Hears until there is a wish, `enough` is true, or the client has hung up.
    async fn hear_until(&mut self, server: &mut Server, enough: fn(&Server) -> bool) -> Result<Heard, SessionError> {
        let mut out = Vec::new();
        loop {
            let result = server.receive(&self.read, &mut out);
            // Answers come first, also to a client whose next command was wrong.
            let sent = async {
                self.socket.write_all(&out).await?;
                self.socket.flush().await
            };
            if sent.await.is_err() {
                return Ok(Heard::More);
            }
            out.clear();
            let (used, heard) = result?;
            self.read.drain(..used);
            if heard != Heard::More || enough(server) || !self.fill().await {
                return Ok(heard);
            }
        }
    }

    /// Reads some more; `false` if there is nobody. A client that is waited for costs little.
    async fn fill(&mut self) -> bool {
        if self.read.capacity() - self.read.len() < FILL_LEN {
            self.read.reserve_exact(FILL_LEN);
        }
        matches!(self.socket.read_buf(&mut self.read).await, Ok(count) if count > 0)
    }

    /// Has the wish granted, and opened at a node. The client may send a little meanwhile, and may go.
    pub(super) async fn grant(&mut self, front: &Front, server: &Server, ask: &Ask, client: IpAddr) -> Granted {
        let wanted = GrantRequest {
            role: ask.role,
            protocol: Protocol::Rtmp,
            stream: ask.identity.stream.clone(),
            credential: ask.identity.credential.clone(),
            client,
            takeover: ask.identity.takeover,
        };
        // In a box: it is large, and every relay would carry it along.
        let opening = Box::pin(async {
            let mut grant = front.grant(wanted).await?;
            loop {
                match node::open(&grant, server.connect()).await {
                    Ok(opened) => return Ok((grant.opened().await, opened)),
                    Err(error) => grant = grant.failed(error).await?,
                }
            }
        });
        tokio::select! {
            opened = opening => match opened {
                Ok((lease, opened)) => Granted::Open(Box::new(lease), Box::new(opened)),
                Err(error) => Granted::Refused(error),
            },
            () = self.gone() => Granted::Gone,
        }
    }

    /// Resolves when the client hangs up, as far as that can be seen behind what it may send early.
    async fn gone(&mut self) {
        while self.read.len() < EARLY_BYTES_MAX {
            if !self.fill().await {
                return;
            }
        }
        std::future::pending().await
    }

    /// Tells a client that it is not heard to the end.
    pub(super) async fn reject(self, front: &Front, server: &Server, why: Unheard) -> Ended {
        let (reason, refusal) = match &why {
            Unheard::Wrong(error) => (Refused::Protocol, Refusal::of_session(error)),
            Unheard::Slow => (Refused::Slow, Refusal::slow()),
        };
        tracing::debug!(?why, "an RTMP client was not heard to the end");
        front.metrics().rtmp().refused(reason);
        let mut words = Vec::new();
        // Before the handshake is over nothing can be said that it would understand.
        if server.greeted() {
            server.refuse(refusal.code, &refusal.description, &mut words);
        }
        close(self.socket, &words).await;
        Ended::Refused
    }
}

const _: () = assert!(EARLY_BYTES_MAX + 2 * FILL_LEN < BUFFER_LEN, "what is read early fits a relay's buffer");
