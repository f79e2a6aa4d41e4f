//! How clients see this cluster: its public addresses, from the settings or from the request.

use crate::config::Config;
use actix_web::{HttpRequest, http::header};
use url::Url;

/// Where RTMP is when nothing else is said.
const RTMP_PORT: u16 = 1935;
/// Where SRT is when nothing else is said.
const SRT_PORT: u16 = 10080;

/// Whether clients reach us by TLS: the base URL says so, or the proxy in front of us does.
#[must_use]
pub fn is_https(req: &HttpRequest, config: &Config) -> bool {
    match &config.urls.edge {
        Some(base) => base.scheme() == "https",
        None => request_origin(req, config).scheme() == "https",
    }
}

/// Bases without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bases {
    /// WHIP and WHEP.
    pub edge: String,
    /// HLS and HTTP-FLV.
    pub hls: String,
    /// RTMP.
    pub rtmp: String,
    /// SRT.
    pub srt: String,
}

/// The bases of all URLs that clients are given.
#[must_use]
pub fn bases(req: &HttpRequest, config: &Config) -> Bases {
    let origin = request_origin(req, config);
    let edge = config.urls.edge.as_ref().unwrap_or(&origin);
    let host = edge.host_str().unwrap_or("localhost").to_owned();
    let text = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
    Bases {
        hls: text(config.urls.hls.as_ref().unwrap_or(edge)),
        rtmp: config.urls.rtmp.as_ref().map_or_else(|| format!("rtmp://{host}:{RTMP_PORT}"), text),
        srt: config.urls.srt.as_ref().map_or_else(|| format!("srt://{host}:{SRT_PORT}"), text),
        edge: text(edge),
    }
}

/// The origin the client used: of the request, or as a trusted proxy tells it.
fn request_origin(req: &HttpRequest, config: &Config) -> Url {
    let proxied = req.peer_addr().is_some_and(|peer| config.trusted_proxies.contains(peer.ip()));
    let text = |name: &str| req.headers().get(name).and_then(|value| value.to_str().ok());
    let told = |name| text(name).filter(|_| proxied).and_then(|value| value.split(',').next()).map(str::trim);
    let scheme = told("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
    let host = told("x-forwarded-host").or_else(|| text(header::HOST.as_str())).unwrap_or("localhost");
    origin_of(scheme, host)
}

/// A host header is the client's to write: only its host and port are taken.
fn origin_of(scheme: &str, host: &str) -> Url {
    let read = Url::parse(&format!("{scheme}://{host}/"));
    let plain = read.ok().filter(|url| {
        url.host().is_some()
            && url.path() == "/"
            && url.query().is_none()
            && url.username().is_empty()
            && url.fragment().is_none()
    });
    plain.unwrap_or_else(|| Url::parse("http://localhost/").expect("a constant URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_header_gives_a_host_and_nothing_else() {
        assert_eq!(origin_of("https", "live.example.com:8443").as_str(), "https://live.example.com:8443/");
        assert_eq!(origin_of("http", "[::1]:8081").as_str(), "http://[::1]:8081/");
        for bad in ["", "a/b", "user@host", "h?x", "h#x", "a b"] {
            assert_eq!(origin_of("http", bad).as_str(), "http://localhost/", "{bad}");
        }
    }
}
