//! One client's connection: a task that ends with it, or with the token.

mod relay;
mod wish;

use super::{HANDSHAKE_WITHIN, close::close, gate::Place, refusal::Refusal, socket};
use crate::{
    front::Front,
    metrics::rtmp::{Ended, Refused},
};
use proto::wire::rtmp::session::{Heard, Server};
use relay::After;
use socket::Socket;
use std::{
    future::Future,
    net::{IpAddr, TcpStream},
    pin::Pin,
};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use wish::Wisher;

/// A connection that was accepted.
pub(super) struct Accepted {
    pub(super) front: Front,
    pub(super) place: Place,
    pub(super) peer: IpAddr,
    /// The peer may say whose connection it is.
    pub(super) proxy: bool,
    pub(super) tls: Option<TlsAcceptor>,
}

/// Serves a connection; for [`super::threads`].
pub(super) fn serve(
    accepted: Accepted,
    stream: TcpStream,
    stop: CancellationToken,
) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(run(accepted, stream, stop))
}

async fn run(accepted: Accepted, stream: TcpStream, stop: CancellationToken) {
    let metrics = accepted.front.metrics().clone();
    let open = metrics.rtmp().opened(accepted.tls.is_some());
    let how = run_inner(accepted, stream, &stop).await;
    tracing::debug!(how = how.as_str(), "an RTMP connection is over");
    metrics.rtmp().ended(how);
    drop(open);
}

async fn run_inner(accepted: Accepted, stream: TcpStream, stop: &CancellationToken) -> Ended {
    let Accepted { front, place, peer, proxy, tls } = accepted;
    let greeted = async {
        let mut stream = tokio::net::TcpStream::from_std(stream).map_err(|_| Refused::Socket)?;
        socket::prepare_client(&stream).map_err(|_| Refused::Socket)?;
        let (client, place) = if proxy {
            let told = socket::proxied(&mut stream).await.map_err(|_| Refused::Proxy)?;
            let client = told.unwrap_or(peer);
            (client, place.moved(client).map_err(Refused::of)?)
        } else {
            (peer, place)
        };
        let socket = Socket::of(stream, tls.as_ref()).await.map_err(|_| Refused::Tls)?;
        Ok((socket, client, place))
    };
    let greeted = tokio::select! {
        () = stop.cancelled() => return Ended::Stopping,
        greeted = timeout(HANDSHAKE_WITHIN, greeted) => greeted.unwrap_or(Err(Refused::Slow)),
    };
    match greeted {
        Ok((socket, client, place)) => streams(&front, socket, client, place, stop).await,
        Err(why) => {
            front.metrics().rtmp().refused(why);
            Ended::Refused
        }
    }
}

/// One stream after the other, as long as the client begins another.
async fn streams(front: &Front, socket: Socket, client: IpAddr, mut place: Place, stop: &CancellationToken) -> Ended {
    let mut server = Server::new(Box::new(super::node::noise()));
    let mut wisher = Wisher::new(socket);
    loop {
        let heard = tokio::select! {
            () = stop.cancelled() => return Ended::Stopping,
            heard = wisher.hear(&mut server) => heard,
        };
        let ask = match heard {
            Ok(Heard::Ask(ask)) => ask,
            Ok(Heard::More) => return Ended::Client,
            Err(why) => return wisher.reject(front, &server, why).await,
        };
        place.heard();
        let granted = tokio::select! {
            () = stop.cancelled() => return Ended::Stopping,
            granted = wisher.grant(front, &server, &ask, client) => granted,
        };
        let (lease, node) = match granted {
            wish::Granted::Open(lease, node) => (*lease, *node),
            wish::Granted::Gone => return Ended::Client,
            wish::Granted::Refused(error) => {
                let refusal = Refusal::of(ask.role, &error);
                tracing::info!(stream.id = %ask.identity.stream, role = ask.role.as_str(), code = error.row().code, "an RTMP client was refused");
                front.metrics().rtmp().refused(Refused::Admission);
                let mut words = Vec::new();
                server.refuse(refusal.code, &refusal.description, &mut words);
                close(wisher.into_socket(), &words).await;
                return Ended::Refused;
            }
        };
        let after = relay::carry(front, &mut server, wisher, &ask, lease, node, stop).await;
        match after {
            After::Again(back) => wisher = back,
            After::Over(how) => return how,
        }
    }
}
