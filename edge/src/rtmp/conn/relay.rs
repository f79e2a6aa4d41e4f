//! A stream that was granted and opened: success is told, bytes are carried, and whoever is left is told the end.

use super::{
    super::{
        close::close,
        node::Opened,
        pump::{End, Pump, Side, Stop},
        socket::Socket,
    },
    wish::Wisher,
};
use crate::{
    front::{Front, Lease},
    metrics::rtmp::Ended,
};
use proto::{
    session::Role,
    wire::rtmp::{
        chunk::Message,
        session::{self, Ask, Client, Server},
    },
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_util::sync::CancellationToken;

/// What comes after a stream.
pub(super) enum After {
    /// The client may begin another.
    Again(Wisher),
    /// Nothing.
    Over(Ended),
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The client said so, and is still there.
    Unpublished,
    /// It hung up.
    Client,
    /// The node did.
    Node,
    /// The cluster ended the session.
    Ended,
    /// A side could not be followed.
    Protocol,
    /// A side took nothing any more.
    Slow,
    /// This edge ends.
    Stopping,
}

impl Why {
    const fn ended(self) -> Ended {
        match self {
            Self::Unpublished | Self::Client => Ended::Client,
            Self::Node => Ended::Node,
            Self::Ended => Ended::Cluster,
            Self::Protocol => Ended::Protocol,
            Self::Slow => Ended::Slow,
            Self::Stopping => Ended::Stopping,
        }
    }

    /// What the client is told, if it is there to hear it.
    const fn words(self) -> Option<&'static str> {
        match self {
            Self::Unpublished | Self::Client => None,
            Self::Node => Some("the media node ended the stream; try again"),
            Self::Ended => Some("the session was ended by the cluster: kicked, revoked, or its stream moved"),
            Self::Protocol => {
                Some("a message could not be followed: chunk sizes, lengths and chunk streams have limits")
            }
            Self::Slow => Some("the connection was too slow for the stream"),
            Self::Stopping => Some("this edge is about to end; connect again, and another one answers"),
        }
    }
}

/// The stream as it is carried.
struct Carried<'a> {
    front: &'a Front,
    role: Role,
    lease: Lease,
    client: Socket,
    node: TcpStream,
    pump: Pump,
    name: String,
}

pub(super) async fn carry(
    front: &Front,
    server: &mut Server,
    wisher: Wisher,
    ask: &Ask,
    lease: Lease,
    opened: Opened,
    stop: &CancellationToken,
) -> After {
    let (mut client, read) = wisher.into_parts();
    let mut words = Vec::new();
    server.accept(ask.role, &mut words);
    let told = async {
        client.write_all(&words).await?;
        client.flush().await
    };
    if told.await.is_err() {
        return After::Over(Ended::Client);
    }
    let Ok((decoder, acks)) = server.lend() else { return After::Over(Ended::Protocol) };
    let Opened { stream, decoder: node_decoder, told, acks: node_acks, read: node_read, held, name } = opened;
    let ends = (
        End { decoder, acks, told: server.chunk_size(), read },
        End { decoder: node_decoder, acks: node_acks, told, read: node_read },
    );
    let mut pump = Pump::new(ask.role, ends.0, ends.1);
    if let Some(held) = held {
        pump.say(Side::Client, held);
    }
    let role = ask.role;
    let mut carried = Carried { front, role, lease, client, node: stream, pump, name };
    let playing = front.metrics().rtmp().relayed(role);
    let why = carried.run(stop).await;
    let after = carried.end(server, why).await;
    drop(playing);
    after
}

impl Carried<'_> {
    async fn run(&mut self, stop: &CancellationToken) -> Why {
        loop {
            let stopped = tokio::select! {
                biased;
                () = self.lease.ended() => return Why::Ended,
                () = stop.cancelled() => return Why::Stopping,
                stopped = self.pump.run(&mut self.client, &mut self.node, self.lease.traffic()) => stopped,
            };
            self.count();
            match stopped {
                Stop::Command(Side::Client, command) => {
                    if let Some(why) = self.command(command) {
                        return why;
                    }
                }
                Stop::Command(Side::Node, command) => self.pump.say(Side::Client, command),
                Stop::Count => {}
                Stop::Gone(Side::Client) => return Why::Client,
                Stop::Gone(Side::Node) => return Why::Node,
                Stop::Stalled(_) => return Why::Slow,
                Stop::Broken(side, error) => {
                    tracing::info!(session.id = %self.lease.session(), ?side, %error, "an RTMP stream cannot be followed: {error}");
                    return Why::Protocol;
                }
            }
        }
    }

    /// A client's command: answered here, or handed on to the node.
    fn command(&mut self, command: Message) -> Option<Why> {
        let mut answers = Vec::new();
        let after = session::during(&command, self.role, &mut answers);
        answers.into_iter().for_each(|answer| self.pump.say(Side::Client, answer));
        match after {
            Ok(session::After::Forward) => self.pump.say(Side::Node, command),
            Ok(session::After::Answered) => {}
            Ok(session::After::Ended) => return Some(Why::Unpublished),
            Err(_) => return Some(Why::Protocol),
        }
        None
    }

    fn count(&mut self) {
        let passed = self.pump.take_passed();
        self.front.metrics().rtmp().passed(passed.received, passed.sent, passed.dropped);
    }

    /// Tells whoever is left. A node that is told at once frees the stream's name at once.
    async fn end(mut self, server: &mut Server, why: Why) -> After {
        self.count();
        if let Some(words) = why.words() {
            self.pump.say(Side::Client, session::over(self.role, words));
        }
        let to_client = self.pump.rest(Side::Client);
        if why != Why::Node {
            let mut to_node = self.pump.rest(Side::Node);
            // Whole chunks only: a node that is in the middle of one learns it from the end of the connection.
            if let Some(told) = self.pump.told(Side::Node) {
                Client::push_end(self.role, &self.name, told, &mut to_node);
            }
            leave(self.node, to_node);
        }
        drop(self.lease);
        let mut client = self.client;
        if why != Why::Unpublished {
            if why != Why::Client {
                close(client, &to_client).await;
            }
            return After::Over(why.ended());
        }
        let answered = async {
            client.write_all(&to_client).await?;
            client.flush().await
        };
        if answered.await.is_err() {
            return After::Over(Ended::Client);
        }
        match self.pump.into_client() {
            Some(End { decoder, acks, told, read }) => {
                server.take_back(decoder, acks, told);
                After::Again(Wisher::again(client, read))
            }
            None => After::Over(Ended::Client),
        }
    }
}

/// Sends a node the last bytes without waiting for it.
fn leave(mut node: TcpStream, bytes: Vec<u8>) {
    tokio::task::spawn_local(async move {
        let last = async {
            node.write_all(&bytes).await?;
            node.shutdown().await
        };
        // The end of the connection says the same.
        drop(tokio::time::timeout(std::time::Duration::from_secs(1), last).await);
    });
}
