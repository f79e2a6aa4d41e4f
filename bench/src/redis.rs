//! As much of Redis's protocol as filling and reading a store takes.

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

/// Commands on their way at once.
const PIPELINE: usize = 1_000;

/// A connection.
#[derive(Debug)]
pub struct Redis(BufReader<TcpStream>);

impl Redis {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(address).await.context("Redis")?)))
    }

    /// `SET`s all pairs.
    ///
    /// # Errors
    /// One was refused.
    pub async fn set_all(&mut self, pairs: &[(String, String)]) -> anyhow::Result<()> {
        for chunk in pairs.chunks(PIPELINE) {
            let mut out = Vec::new();
            for (key, value) in chunk {
                command(&mut out, &["SET", key, value]);
            }
            self.0.get_mut().write_all(&out).await?;
            for _ in chunk {
                let line = self.line().await?;
                if line != "+OK" {
                    bail!("Redis says {line}");
                }
            }
        }
        Ok(())
    }

    /// `GET`s a value.
    ///
    /// # Errors
    /// There is none.
    pub async fn get(&mut self, key: &str) -> anyhow::Result<String> {
        let mut out = Vec::new();
        command(&mut out, &["GET", key]);
        self.0.get_mut().write_all(&out).await?;
        let line = self.line().await?;
        let length: usize = line.strip_prefix('$').and_then(|n| n.parse().ok()).with_context(|| format!("no {key}"))?;
        let mut value = vec![0; length + 2];
        self.0.read_exact(&mut value).await?;
        value.truncate(length);
        Ok(String::from_utf8(value)?)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        Ok(line.trim_end().to_owned())
    }
}

fn command(out: &mut Vec<u8>, parts: &[&str]) {
    out.extend(format!("*{}\r\n", parts.len()).into_bytes());
    for part in parts {
        out.extend(format!("${}\r\n{part}\r\n", part.len()).into_bytes());
    }
}
