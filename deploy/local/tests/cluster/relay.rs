//! WebRTC media through the edges: it passes them, and another edge goes on with it when the load balancer says so.
use crate::support::{PATIENCE, Up, eventually};
use keystone::media::{self, PlayOptions, PublishOptions, Stats};
use proto::{session::Role, stream::Visibility};
use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    net::UdpSocket,
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// A publisher's packets go to one edge, then to the other, which never saw its POST. The viewer sees it go on.
pub(crate) async fn taken_over(up: &Up) {
    let stream = up.stream(Visibility::Public).await.id;
    let publish = up.token(&stream, Role::Publish).await;
    let ports = up.cluster.plan().ports;
    let local_ip = Some(up.cluster.plan().candidate());
    let at = |edge| SocketAddr::from((Ipv4Addr::LOCALHOST, ports.edge_rtc(edge)));
    let balancer = Balancer::start(at(0)).await;

    let url = format!("http://127.0.0.1:{}/rtc/v1/whip/{stream}", ports.edge_http(0));
    let options =
        PublishOptions { url, token: Some(publish.token), local_ip, via: Some(balancer.address), ..Default::default() };
    let publisher = media::publish(options).await.unwrap();
    let viewer = eventually("the stream can be watched", async || {
        media::play(PlayOptions { url: up.whep(&stream), token: None, local_ip }).await.ok()
    })
    .await;
    viewer.until(PATIENCE, |s: &Stats| s.frames_video >= 30).await.unwrap();
    assert!(
        metric(ports.edge_http(0), "keystone_edge_rtc_packets_total{direction=\"up\"}").await > 0,
        "media passes the edge"
    );
    let taken = metric(ports.edge_http(1), "keystone_edge_rtc_taken_over_total").await;

    balancer.edge.send(at(1)).unwrap();
    eventually("the other edge has it", async || {
        (metric(ports.edge_http(1), "keystone_edge_rtc_taken_over_total").await > taken).then_some(())
    })
    .await;
    let seen = viewer.stats();
    let more = viewer.until(PATIENCE, |s: &Stats| s.frames_video >= seen.frames_video + 60).await.unwrap();
    assert_eq!(more.frames_bad, 0, "frames that do not parse");

    viewer.stop().await.unwrap();
    publisher.stop().await.unwrap();
    eventually("the stream has ended", async || up.user.stream(&stream).await.unwrap().live.is_none().then_some(()))
        .await;
}

async fn metric(port: u16, line: &str) -> u64 {
    let text = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.unwrap().text().await.unwrap();
    text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok()).unwrap_or_default()
}

/// A load balancer for UDP: each client has a socket of its own towards whichever edge is named now.
struct Balancer {
    address: SocketAddr,
    edge: watch::Sender<SocketAddr>,
    task: AbortHandle,
}

impl Balancer {
    async fn start(edge: SocketAddr) -> Self {
        let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        let address = front.local_addr().unwrap();
        let (edge, named) = watch::channel(edge);
        let task = tokio::spawn(balance(front, named)).abort_handle();
        Self { address, edge, task }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn balance(front: Arc<UdpSocket>, named: watch::Receiver<SocketAddr>) {
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut answers = JoinSet::new();
    let mut bytes = vec![0; 2_048];
    loop {
        let (len, client) = front.recv_from(&mut bytes).await.unwrap();
        let back = match clients.get(&client) {
            Some(back) => back.clone(),
            None => {
                let back = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
                clients.insert(client, back.clone());
                answers.spawn(answer(front.clone(), back.clone(), client));
                back
            }
        };
        let to = *named.borrow();
        back.send_to(&bytes[..len], to).await.unwrap();
    }
}

async fn answer(front: Arc<UdpSocket>, back: Arc<UdpSocket>, client: SocketAddr) {
    let mut bytes = vec![0; 2_048];
    while let Ok((len, _)) = back.recv_from(&mut bytes).await {
        front.send_to(&bytes[..len], client).await.unwrap();
    }
}
