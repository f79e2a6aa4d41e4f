//! The `param` of a hook: what the client wrote behind the stream name, in three shapes.
//!
//! RTMP, FLV and HLS begin it with `?` (and double it when the token came in tcUrl: `?token=X?token=X`); WHIP and WHEP have no `?` and
//! include `app` and `stream`; SRT has no `?` and sorts its keys. Nothing is percent-decoded. The first occurrence of a name wins, which
//! is what undoes the doubling; SRS itself lets the last win, which is how a smuggled `;stream=` would work, so names the gateway alone may
//! set are looked at by [`Param::gateway_only`].

/// Longest `param` that is looked at, in bytes; SRS accepts 70 kB, our own are under 1 KiB.
pub const PARAM_LEN_MAX: usize = 8 * 1024;

/// Values that change what SRS does and that only a gateway may send, with a ticket beside them.
const GATEWAY_ONLY: [&str; 11] =
    ["ice-ufrag", "ice-pwd", "eip", "candidate", "action", "encrypt", "dtls", "vhost", "domain", "callback", "method"];

/// A hook's `param`, split but not copied.
#[derive(Debug, Clone, Copy)]
pub struct Param<'a>(&'a str);

impl<'a> Param<'a> {
    /// Takes the raw text; one longer than [`PARAM_LEN_MAX`] is taken as empty, which admits nobody.
    #[must_use]
    pub fn new(raw: &'a str) -> Self {
        if raw.len() > PARAM_LEN_MAX { Self("") } else { Self(raw.trim_start_matches('?')) }
    }

    /// Name and value pairs in order; a name alone has an empty value.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.0.split(['?', '&']).filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
    }

    /// The first value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.pairs().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The first name present that only a gateway may set. A hook without a valid ticket that has one is refused.
    #[must_use]
    pub fn gateway_only(&self) -> Option<&'static str> {
        GATEWAY_ONLY.into_iter().find(|name| self.smuggles(name))
    }

    /// Whether SRS could read `name` out of the text, by its own splitter (`=`, `,`, `&`, `;`).
    fn smuggles(&self, name: &str) -> bool {
        self.0.split(['?', '&', '=', ',', ';']).any(|word| word == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_shapes_and_the_doubled_token() {
        assert_eq!(Param::new("?token=T1&x=1").get("token"), Some("T1"));
        assert_eq!(Param::new("app=live&stream=w1&token=WT1").get("token"), Some("WT1"));
        assert_eq!(Param::new("vhost=v&token=T&x=2").get("token"), Some("T"));
        assert_eq!(Param::new("?token=X?token=X").get("token"), Some("X"));
        assert_eq!(Param::new("?k=S?token=T?token=T").get("token"), Some("T"));
        assert_eq!(Param::new("?token=a=b==").get("token"), Some("a=b=="));
        assert_eq!(Param::new("").get("token"), None);
    }

    #[test]
    fn smuggled_gateway_values_are_seen() {
        assert_eq!(Param::new("app=live&stream=x&ice-ufrag=abcd").gateway_only(), Some("ice-ufrag"));
        assert_eq!(Param::new("?token=a;dtls=false").gateway_only(), Some("dtls"));
        assert_eq!(Param::new("?token=abc").gateway_only(), None);
    }

    proptest! {
        #[test]
        fn never_panics(text: String, name: String) {
            let param = Param::new(&text);
            let _ = (param.get(&name), param.gateway_only(), param.pairs().count());
        }
    }
}
