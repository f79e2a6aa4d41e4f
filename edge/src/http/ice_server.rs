//! ICE servers as `Link` headers (RFC 9725 section 4.6).

/// The servers that clients are told of: none, since the nodes' and this edge's addresses are public and full ICE needs nothing else. A list of
/// its own type all the same, so that a setting has one place to go.
pub(crate) const ICE_SERVERS: &[IceServer] = &[];

/// A STUN or TURN server that clients are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IceServer {
    /// `stun:host[:port]`, `turn:host[:port][?transport=udp]` or the same with `turns:`.
    pub(crate) uri: std::borrow::Cow<'static, str>,
    /// User name and password of a TURN server.
    pub(crate) credential: Option<(String, String)>,
}

impl IceServer {
    /// The value of one `Link` line. Attributes stand in the order that clients match by pattern, and `credential-type` is there although the
    /// RFC dropped it, because `MediaMTX` refuses a TURN link without it.
    pub(crate) fn link(&self) -> String {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let server = format!("<{}>; rel=\"ice-server\"", self.uri);
        match &self.credential {
            None => server,
            Some((user, password)) => format!(
                "{server}; username=\"{}\"; credential=\"{}\"; credential-type=\"password\"",
                quoted(user),
                quoted(password)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w44_ice_servers_are_links_in_the_order_clients_match() {
        let stun = IceServer { uri: "stun:stun.example:3478".into(), credential: None };
        assert_eq!(stun.link(), "<stun:stun.example:3478>; rel=\"ice-server\"");
        let turn = IceServer { uri: "turn:t.example".into(), credential: Some(("u".to_owned(), "p\"q".to_owned())) };
        assert_eq!(
            turn.link(),
            "<turn:t.example>; rel=\"ice-server\"; username=\"u\"; credential=\"p\\\"q\"; credential-type=\"password\""
        );
    }
}
