//! Query strings and names the way SRS 5 reads them, faults included.
//!
//! SRS cuts a query at `=`, `,`, `&&`, `&` and `;` alike and pairs the pieces blindly, the last one winning and nothing
//! percent-decoded. A gateway that forwards a client's query can therefore be made to publish another stream; the
//! stand-in must be as gullible, or tests against it would prove nothing.
//!
//! Source: SRS 5.0.216 `srs_protocol_utility.cpp` `srs_parse_query_string`, `srs_generate_stream_url`.

use std::collections::BTreeMap;

/// More pieces than this are not looked at.
const PIECES_MAX: usize = 128;

/// Parameters of a query.
#[derive(Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub(crate) fn parse(raw: &str) -> Self {
        let pieces: Vec<&str> =
            raw.split(['=', ',', '&', ';']).filter(|piece| !piece.is_empty()).take(PIECES_MAX).collect();
        let pairs = pieces.chunks_exact(2).filter_map(|pair| match pair {
            [name, value] => Some(((*name).to_owned(), (*value).to_owned())),
            _ => None,
        });
        Self(pairs.collect())
    }

    /// The value of `name`; an empty value cannot be told from an absent one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// `app`, by default `live`.
    pub(crate) fn app(&self) -> &str {
        self.get("app").unwrap_or("live")
    }

    /// `stream`, by default `livestream`.
    pub(crate) fn stream(&self) -> &str {
        self.get("stream").unwrap_or("livestream")
    }
}

/// The key of a stream on a node: `/app/name`, an extension dropped.
pub(crate) fn stream_url(app: &str, name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    format!("/{app}/{stem}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_queries_as_loosely_as_srs() {
        let cases = [
            ("app=live&stream=s1&token=T", "live", "s1"),
            ("", "live", "livestream"),
            ("app=live&stream=good;stream=evil", "live", "evil"),
            ("app=live&stream=good&a=b=stream=evil", "live", "evil"),
            ("app=live&stream=good&token=abc==,stream,evil", "live", "evil"),
            ("app=live&stream=d%2010", "live", "d%2010"),
        ];
        for (raw, app, stream) in cases {
            let query = Query::parse(raw);
            assert_eq!((query.app(), query.stream()), (app, stream), "{raw}");
        }
        // A flag without a value shifts every pair after it.
        assert_eq!(Query::parse("flag&app=live&stream=x").stream(), "livestream");
    }

    #[test]
    fn an_extension_is_no_part_of_a_key() {
        assert_eq!(stream_url("live", "s"), "/live/s");
        assert_eq!(stream_url("live", "secret.zzz"), "/live/secret");
    }
}
