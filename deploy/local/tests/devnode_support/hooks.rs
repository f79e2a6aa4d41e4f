//! A hook server that writes down what it is told and answers what the test wants.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Answers with `reply(body)`; keeps every body in order.
pub struct HookServer {
    pub url: String,
    seen: watch::Receiver<Vec<Value>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for HookServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HookServer {
    pub async fn start(reply: impl Fn(&Value) -> &'static str + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/hooks/srs/node-a/secret", listener.local_addr().unwrap());
        let (tx, seen) = watch::channel(Vec::new());
        let (tx, reply) = (Arc::new(tx), Arc::new(reply));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tx, reply) = (Arc::clone(&tx), Arc::clone(&reply));
                tokio::spawn(async move {
                    let _ = one(stream, &tx, reply.as_ref()).await;
                });
            }
        });
        Self { url, seen, task }
    }

    /// Says yes to everything.
    pub async fn yes() -> Self {
        Self::start(|_| r#"{"code":0}"#).await
    }

    /// Bodies so far.
    pub fn bodies(&self) -> Vec<Value> {
        self.seen.borrow().clone()
    }

    /// Actions of the bodies so far; without those of HLS segments, which come whenever a keyframe does.
    pub fn actions(&self) -> Vec<String> {
        let actions = self.bodies().into_iter().map(|body| body["action"].as_str().unwrap_or("beat").to_owned());
        actions.filter(|action| action != "on_hls").collect()
    }

    /// Waits until a body fits.
    pub async fn until(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut seen = self.seen.clone();
        let found = tokio::time::timeout(super::PATIENCE, seen.wait_for(|all| all.iter().any(&fits))).await;
        assert!(found.is_ok(), "no hook {what}; got {:?}", self.actions());
        self.bodies().into_iter().find(fits).unwrap()
    }
}

async fn one(
    stream: TcpStream,
    seen: &watch::Sender<Vec<Value>>,
    reply: &(dyn Fn(&Value) -> &'static str + Send + Sync),
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let text = reply(&body);
    seen.send_modify(|all| all.push(body));
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len());
    stream.write_all(answer.as_bytes()).await
}
