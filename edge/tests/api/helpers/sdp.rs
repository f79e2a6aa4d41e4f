//! Looking into SDP, and SRS 5's way of answering an offer.

use proto::session::Role;

/// A fixture by its file name.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/").to_owned() + name;
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The rest of the first line that begins with `prefix`.
pub(crate) fn value<'a>(sdp: &'a str, prefix: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| line.strip_prefix(prefix)).map(str::trim_end)
}

/// The rest of every line that begins with `prefix`, in order.
pub(crate) fn values<'a>(sdp: &'a str, prefix: &str) -> Vec<&'a str> {
    sdp.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::trim_end).collect()
}

/// The media sections, each with its `m=` line.
pub(crate) fn sections(sdp: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in sdp.lines().map(str::trim_end) {
        if line.starts_with("m=") {
            out.push(String::new());
        }
        if let Some(section) = out.last_mut() {
            section.push_str(line);
            section.push_str("\r\n");
        }
    }
    out
}

/// What SRS 5 answers: the first codec it serves of each section, none of the attributes that RFC 9725 asks for beyond.
pub(crate) fn answer(offer: &str, role: Role, stream: &str) -> String {
    let direction = if role == Role::Publish { "recvonly" } else { "sendonly" };
    let setup = if value(offer, "a=setup:") == Some("passive") { "active" } else { "passive" };
    let mut mids = Vec::new();
    let mut media = String::new();
    for (index, section) in sections(offer).iter().enumerate() {
        let Some((kind, codec)) = codec_of(section) else { continue };
        let mid = value(section, "a=mid:").unwrap_or_default();
        mids.push(mid.to_owned());
        media.push_str(&format!("m={kind} 9 UDP/TLS/RTP/SAVPF {codec}\r\nc=IN IP4 0.0.0.0\r\n"));
        media.push_str("a=ice-ufrag:t31m397v\r\na=ice-pwd:5594t0s11n1198050b944inf0g9j2747\r\n");
        media.push_str("a=fingerprint:sha-256 F4:98:AE:A9:A3:A7:F5:80:9C:18:8D:76:B6:B3:05:B0:37:61:15:56:F6:F3:1C:28:0E:4A:71:19:52:05:C5:1D\r\n");
        media.push_str(&format!("a=setup:{setup}\r\na=mid:{mid}\r\na={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n"));
        for line in section.lines().filter(|l| about(l, &codec)) {
            media.push_str(&format!("{}\r\n", line.trim_end()));
        }
        if role == Role::Play {
            media.push_str(&format!(
                "a=ssrc:9869687{index} cname:528o931198y65u46\r\na=ssrc:9869687{index} msid:m-{stream} t{index}\r\n"
            ));
        }
        media.push_str("a=candidate:0 1 udp 2130706431 127.0.0.1 28000 typ host generation 0\r\n");
    }
    format!(
        "v=0\r\no=SRS/5.0.216(Bee) 107545981447808 2 IN IP4 0.0.0.0\r\ns=SRSSession\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE {}\r\n\
         a=msid-semantic: WMS live/{stream}\r\n{media}",
        mids.join(" ")
    )
}

fn codec_of(section: &str) -> Option<(&'static str, String)> {
    let wanted = if section.starts_with("m=audio") { ("audio", "opus/48000") } else { ("video", "H264/90000") };
    let maps = values(section, "a=rtpmap:");
    let found = maps.iter().find(|map| map.to_ascii_lowercase().contains(&wanted.1.to_ascii_lowercase()))?;
    Some((wanted.0, found.split(' ').next()?.to_owned()))
}

fn about(line: &str, codec: &str) -> bool {
    ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"]
        .iter()
        .any(|p| line.strip_prefix(p).is_some_and(|r| r.split(' ').next() == Some(codec)))
}
