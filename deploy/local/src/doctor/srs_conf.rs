//! The hooks and the heartbeat of one `srs.conf`.

use std::net::SocketAddr;

/// The hooks that Keystone needs, `on_` left out. `on_hls` is a sign of life besides heartbeats, and may be absent.
const HOOKS: [&str; 6] = ["connect", "close", "publish", "unpublish", "play", "stop"];

/// What a configuration says of hooks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookLines {
    /// Name without `on_`, and URLs.
    pub hooks: Vec<(String, Vec<String>)>,
    /// The heartbeat's URL.
    pub heartbeat: Option<String>,
}

/// Reads a configuration: lines `on_publish URL…;` and `url URL;` of the heartbeat. Comments are left out.
#[must_use]
pub fn hook_lines(text: &str) -> HookLines {
    let mut lines = HookLines::default();
    let mut in_heartbeat = false;
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with("heartbeat") && line.ends_with('{') {
            in_heartbeat = true;
        } else if line.starts_with('}') {
            in_heartbeat = false;
        }
        let Some(statement) = line.strip_suffix(';') else { continue };
        let mut words = statement.split_whitespace();
        let name = words.next().unwrap_or_default();
        let urls: Vec<String> = words.map(str::to_owned).collect();
        match name.strip_prefix("on_") {
            Some(hook) => lines.hooks.push((hook.to_owned(), urls)),
            None if name == "url" && in_heartbeat => lines.heartbeat = urls.into_iter().next(),
            None => {}
        }
    }
    lines
}

impl HookLines {
    /// What is wrong with it, in words that hold no secret.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let mut at: Option<SocketAddr> = None;
        if let Some(missing) = HOOKS.iter().find(|wanted| !self.hooks.iter().any(|(name, _)| name == *wanted)) {
            return Some(format!("on_{missing} is missing"));
        }
        for (wanted, urls) in &self.hooks {
            let [one] = urls.as_slice() else {
                return Some(format!(
                    "on_{wanted} has {} addresses: SRS calls all of them, and all must say yes",
                    urls.len()
                ));
            };
            match (address(one), at) {
                (Err(host), _) => return Some(format!("on_{wanted} goes to {host}, which is no number")),
                (Ok(here), Some(before)) if here != before => {
                    return Some(format!("on_{wanted} goes elsewhere than the others"));
                }
                (Ok(here), _) => at = Some(here),
            }
        }
        match self.heartbeat.as_deref().map(address) {
            None => Some("there is no heartbeat".to_owned()),
            Some(Err(host)) => Some(format!("the heartbeat goes to {host}, which is no number")),
            Some(Ok(_)) => None,
        }
    }
}

/// Where a URL leads; else its host.
fn address(url: &str) -> Result<SocketAddr, String> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let host = rest.split('/').next().unwrap_or_default();
    host.parse().or_else(|_| format!("{host}:80").parse()).map_err(|_| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(publish: &str, heartbeat: &str) -> String {
        let hooks: String = HOOKS
            .iter()
            .map(|hook| {
                format!(
                    "    on_{hook} {};\n",
                    if *hook == "publish" { publish } else { "http://10.0.0.1:8082/v1/hooks/srs/n/s3cret" }
                )
            })
            .collect();
        format!(
            "heartbeat {{\n enabled on;\n url {heartbeat};\n}}\n# on_play http://x/;\nvhost x {{ http_hooks {{\n{hooks} }} }}\n"
        )
    }

    #[test]
    fn one_numeric_address_is_well_and_everything_else_is_named_without_the_secret() {
        let good = "http://10.0.0.1:8082/v1/hooks/srs/n/s3cret";
        let beat = "http://10.0.0.1:8082/v1/hooks/heartbeat/n/s3cret";
        assert_eq!(hook_lines(&conf(good, beat)).fault(), None);
        let named = hook_lines(&conf("http://control-api:8081/v1/hooks/srs/n/s3cret", beat)).fault().unwrap();
        assert_eq!(named, "on_publish goes to control-api:8081, which is no number");
        let two = hook_lines(&conf(&format!("{good} {good}"), beat)).fault().unwrap();
        assert!(two.contains("2 addresses") && !two.contains("s3cret"), "{two}");
        let elsewhere = hook_lines(&conf("http://10.0.0.2:8082/v1/hooks/srs/n/s3cret", beat)).fault().unwrap();
        assert!(elsewhere.contains("elsewhere"), "{elsewhere}");
        assert!(hook_lines(&conf(good, "http://beat.example/x")).fault().unwrap().contains("beat.example"));
        assert_eq!(hook_lines("listen 1935;").fault().as_deref(), Some("on_connect is missing"));
    }
}
