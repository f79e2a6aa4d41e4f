//! The grammar of `SRS_UPSTREAM`: `http://host:1985[?id=&rtmp=&http=&rtc=&srt=&srt_encrypted=&weight=&zone=],…`.

use proto::{NodeId, ids::IdError};
use std::collections::BTreeMap;
use url::Url;

/// Largest weight of a node; the ring gives each unit its own points.
pub const WEIGHT_MAX: u32 = 100;

/// One media node as the operator named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Origin of its HTTP API, e.g. `http://10.0.0.5:1985/`.
    pub api: Url,
    /// Its `server_id`; learnt from `/api/v1/versions` when absent.
    pub id: Option<NodeId>,
    /// Share of streams against other nodes, 1 to [`WEIGHT_MAX`]; default 1.
    pub weight: u32,
    /// A name for where it stands.
    pub zone: Option<String>,
    /// `srt_encrypted=1`: its SRT port has a passphrase.
    pub srt_encrypted: bool,
    /// Its other ports by name (`rtmp`, `http`, `rtc`, `srt`), `host:port` or `port`.
    pub endpoints: BTreeMap<&'static str, String>,
}

/// Why the list cannot be used. Positions count from 1; values are not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Nothing in it.
    #[error("names no node")]
    Empty,
    /// More nodes than [`super::UPSTREAMS_MAX`].
    #[error("names {got} nodes, at most {} are allowed", super::UPSTREAMS_MAX)]
    TooMany {
        /// Nodes named.
        got: usize,
    },
    /// Not an `http` origin.
    #[error("entry {at} is not like http://host:1985 with an optional ?id=..")]
    Url {
        /// Which entry.
        at: usize,
    },
    /// A bad node id.
    #[error("entry {at}: {source}")]
    Id {
        /// Which entry.
        at: usize,
        /// What is wrong with it.
        source: IdError,
    },
    /// A weight that is no number in range.
    #[error("entry {at}: weight must be 1 to {WEIGHT_MAX}")]
    Weight {
        /// Which entry.
        at: usize,
    },
    /// A parameter that is not part of the grammar.
    #[error("entry {at}: parameters are id, rtmp, http, rtc, srt, srt_encrypted (0 or 1), weight, zone")]
    Parameter {
        /// Which entry.
        at: usize,
    },
    /// The same id or address twice.
    #[error("entry {at} repeats an earlier one's id or address")]
    Twice {
        /// Which entry.
        at: usize,
    },
}

/// Reads the whole list.
pub(super) fn parse_list(text: &str) -> Result<Vec<Upstream>, UpstreamError> {
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(UpstreamError::Empty);
    }
    if parts.len() > super::UPSTREAMS_MAX {
        return Err(UpstreamError::TooMany { got: parts.len() });
    }
    let mut list: Vec<Upstream> = Vec::with_capacity(parts.len());
    for (index, part) in parts.into_iter().enumerate() {
        let at = index + 1;
        let one = parse(part, at)?;
        if list.iter().any(|seen| seen.api == one.api || (one.id.is_some() && seen.id == one.id)) {
            return Err(UpstreamError::Twice { at });
        }
        list.push(one);
    }
    Ok(list)
}

fn parse(text: &str, at: usize) -> Result<Upstream, UpstreamError> {
    let mut api: Url = text.parse().map_err(|_| UpstreamError::Url { at })?;
    let plain = api.path() == "/" && api.fragment().is_none() && api.username().is_empty() && api.password().is_none();
    if api.scheme() != "http" || api.host().is_none() || !plain {
        return Err(UpstreamError::Url { at });
    }
    let query = api.clone();
    api.set_query(None);
    let mut node = Upstream { api, id: None, weight: 1, zone: None, srt_encrypted: false, endpoints: BTreeMap::new() };
    for (name, value) in query.query_pairs() {
        match &*name {
            "id" => node.id = Some(NodeId::parse(&value).map_err(|source| UpstreamError::Id { at, source })?),
            "weight" => node.weight = weight(&value).ok_or(UpstreamError::Weight { at })?,
            "zone" => node.zone = Some(value.into_owned()),
            "rtmp" => drop(node.endpoints.insert("rtmp", value.into_owned())),
            "http" => drop(node.endpoints.insert("http", value.into_owned())),
            "rtc" => drop(node.endpoints.insert("rtc", value.into_owned())),
            "srt_encrypted" if matches!(&*value, "0" | "1") => node.srt_encrypted = value == "1",
            "srt" => drop(node.endpoints.insert("srt", value.into_owned())),
            _ => return Err(UpstreamError::Parameter { at }),
        }
    }
    Ok(node)
}

fn weight(text: &str) -> Option<u32> {
    text.parse().ok().filter(|weight| (1..=WEIGHT_MAX).contains(weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_with_and_without_parameters_reads() {
        let list = parse_list("http://10.0.0.5:1985?id=n1&rtmp=1935&weight=3&zone=a, http://10.0.0.6:1985").unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].id.as_ref().unwrap().as_str(), "n1");
        assert_eq!(list[0].api.as_str(), "http://10.0.0.5:1985/");
        assert_eq!((list[0].weight, list[1].weight), (3, 1));
        assert_eq!(list[0].endpoints.get("rtmp").map(String::as_str), Some("1935"));
        assert_eq!(list[1].id, None);
        let list =
            parse_list("http://10.0.0.5:1985?srt=10080&srt_encrypted=1,http://10.0.0.6:1985?srt_encrypted=0").unwrap();
        assert!(list[0].srt_encrypted && !list[1].srt_encrypted);
    }

    #[test]
    fn mistakes_say_which_entry() {
        let at = 2;
        let bad = |text: &str| parse_list(&format!("http://a:1985,{text}")).unwrap_err();
        assert_eq!(parse_list(" , "), Err(UpstreamError::Empty));
        assert_eq!(bad("https://b:1985"), UpstreamError::Url { at });
        assert_eq!(bad("http://b:1985/api"), UpstreamError::Url { at });
        assert_eq!(bad("http://u:p@b:1985"), UpstreamError::Url { at });
        assert_eq!(bad("http://b:1985?weight=0"), UpstreamError::Weight { at });
        assert_eq!(bad("http://b:1985?wieght=1"), UpstreamError::Parameter { at });
        assert_eq!(bad("http://b:1985?srt_encrypted=yes"), UpstreamError::Parameter { at });
        assert_eq!(bad("http://a:1985?id=x"), UpstreamError::Twice { at });
        assert!(matches!(bad("http://b:1985?id=a.b"), UpstreamError::Id { at: 2, .. }));
        let many = (0..65).map(|n| format!("http://h{n}:1985")).collect::<Vec<_>>().join(",");
        assert_eq!(parse_list(&many), Err(UpstreamError::TooMany { got: 65 }));
    }
}
