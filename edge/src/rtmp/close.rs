//! Ending a connection so that its last words are heard.

use super::socket::Socket;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long last words may take to go, and how long the client gets to hang up after them.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);
/// Most bytes that are read and thrown away then.
const THROWN_AWAY_MAX: usize = 1024 * 1024;

/// Sends what is left to say and closes. Bytes that the client has sent meanwhile are read first: a socket that is closed over unread bytes
/// resets the connection, and the client loses the words.
pub(super) async fn close(mut socket: Socket, words: &[u8]) {
    let last = async {
        socket.write_all(words).await?;
        socket.flush().await?;
        socket.shutdown().await?;
        let (mut thrown, mut sink) = (0, vec![0_u8; 4096]);
        while thrown < THROWN_AWAY_MAX {
            match socket.read(&mut sink).await? {
                0 => break,
                count => thrown += count,
            }
        }
        std::io::Result::Ok(())
    };
    // Nobody is left to be told of a failure here.
    drop(tokio::time::timeout(LAST_WORDS_WITHIN, last).await);
}
