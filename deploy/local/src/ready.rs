//! How a child shows that it is ready. Each look is one short try; the supervisor repeats it until a deadline.

use std::{fmt, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Time for one look: loopback answers at once or is not there yet.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// What to ask, and which answer counts.
#[derive(Clone)]
pub enum Ready {
    /// A session can be opened.
    Postgres {
        /// With password.
        url: String,
    },
    /// PING is answered with PONG.
    Redis {
        /// Where.
        address: SocketAddr,
        /// AUTH.
        password: String,
    },
    /// `GET` answers 200.
    Http {
        /// What to get.
        url: String,
    },
    /// `GET` answers with SRS's JSON and `"code": 0`.
    Srs {
        /// `/api/v1/versions` of the node.
        url: String,
    },
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres { .. } => f.write_str("a PostgreSQL session"),
            Self::Redis { address, .. } => write!(f, "PONG from {address}"),
            Self::Http { url } => write!(f, "200 from {url}"),
            Self::Srs { url } => write!(f, "code 0 from {url}"),
        }
    }
}

impl Ready {
    /// One look.
    ///
    /// # Errors
    /// Why not yet, in a few words.
    pub async fn look(&self) -> Result<(), String> {
        let look = async {
            match self {
                Self::Postgres { url } => postgres(url).await,
                Self::Redis { address, password } => redis(*address, password).await,
                Self::Http { url } => http(url).await.map(|_| ()),
                Self::Srs { url } => srs(url).await,
            }
        };
        tokio::time::timeout(LOOK_WITHIN, look).await.unwrap_or_else(|_| Err(format!("no answer in {LOOK_WITHIN:?}")))
    }
}

async fn postgres(url: &str) -> Result<(), String> {
    crate::postgres::connect(url).await.map(|_| ()).map_err(|error| error.to_string())
}

async fn redis(address: SocketAddr, password: &str) -> Result<(), String> {
    let talk = async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(format!("AUTH {password}\r\nPING\r\n").as_bytes()).await?;
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match talk.await {
        Ok(answer) if &answer == b"+OK\r\n+PONG\r\n" => Ok(()),
        Ok(answer) => Err(format!("it said {:?}", String::from_utf8_lossy(&answer))),
        Err(error) => Err(error.to_string()),
    }
}

async fn http(url: &str) -> Result<bytes::Bytes, String> {
    let response = client().get(url).send().await.map_err(|error| root_cause(&error))?;
    let status = response.status();
    let body = response.bytes().await.map_err(|error| root_cause(&error))?;
    if status == reqwest::StatusCode::OK {
        Ok(body)
    } else {
        Err(format!("{status}: {}", String::from_utf8_lossy(&body).chars().take(200).collect::<String>()))
    }
}

async fn srs(url: &str) -> Result<(), String> {
    let body = http(url).await?;
    let value: serde_json::Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    if value["code"] == 0 { Ok(()) } else { Err(format!("it said {value}")) }
}

/// Nothing is pooled: SRS holds a connection open and then serves two sessions as one client.
fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()
        .expect("a client without certificates of its own can always be built")
}

/// The innermost error: `reqwest`'s own text only says that sending failed.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
