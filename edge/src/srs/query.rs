//! URLs of a node's API, built from parsed values only.
//!
//! SRS splits queries on `=`, `,`, `&` and `;` and decodes nothing (docs/srs.md), so every value here has an alphabet without them:
//! ids, base64url tickets, hexadecimal ICE credentials, and what [`super::SrsSession`] let through.

use super::{OpenAt, SrsSession};
use proto::{StreamId, session::Role, ticket};
use url::Url;

/// The trailing slash matters: without it SRS redirects, and only exactly `whep/` plays.
const fn path(role: Role) -> &'static str {
    match role {
        Role::Publish => "/rtc/v1/whip/",
        Role::Play => "/rtc/v1/whep/",
    }
}

fn url(api: &Url, path: &str, query: Option<&str>) -> Url {
    let mut url = api.clone();
    url.set_path(path);
    url.set_query(query);
    url
}

pub(super) fn open_url(at: OpenAt<'_>) -> Url {
    let (stream, ticket, ufrag, password) = (at.stream, at.ticket, at.ufrag, at.password);
    let query = format!("app=live&stream={stream}&{}={ticket}&ice-ufrag={ufrag}&ice-pwd={password}", ticket::PARAM);
    url(at.api, path(at.role), Some(&query))
}

pub(super) fn delete_url(api: &Url, stream: &StreamId, session: &SrsSession) -> Url {
    let (token, name) = (session.token(), session.name());
    let query = format!("action=delete&token={token}&app=live&stream={stream}&session={name}");
    url(api, "/rtc/v1/whip/", Some(&query))
}

pub(super) fn versions_url(api: &Url) -> Url {
    url(api, proto::srs::VERSIONS_PATH, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_urls_are_made_of_our_values_alone() {
        let api: Url = "http://127.0.0.1:1985".parse().unwrap();
        let stream = StreamId::parse("cam-1").unwrap();
        let at = OpenAt {
            api: &api,
            role: Role::Play,
            stream: &stream,
            ticket: "TICKET_-",
            ufrag: "abcdef",
            password: "0123",
            client: [127, 0, 0, 1].into(),
            offer: "",
            within: std::time::Duration::ZERO,
        };
        assert_eq!(
            open_url(at).as_str(),
            "http://127.0.0.1:1985/rtc/v1/whep/?app=live&stream=cam-1&kst=TICKET_-&ice-ufrag=abcdef&ice-pwd=0123"
        );
        assert!(open_url(OpenAt { role: Role::Publish, ..at }).as_str().contains("/rtc/v1/whip/?"));
        let session =
            SrsSession::parse("/rtc/v1/whip/?action=delete&token=t1&app=live&stream=x&session=ab:c+/d").unwrap();
        assert_eq!(
            delete_url(&api, &stream, &session).as_str(),
            "http://127.0.0.1:1985/rtc/v1/whip/?action=delete&token=t1&app=live&stream=cam-1&session=ab:c+/d"
        );
    }
}
