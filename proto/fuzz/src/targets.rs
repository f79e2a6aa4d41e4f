//! The fuzz targets: each takes any bytes, hands them to one parser and checks what must hold of the result. A panic is a bug.
//!
//! A new target is a file in `targets/`, a line here, and seeds in `corpus/NAME/`. libFuzzer (`main.rs`) and the ordinary test
//! `proto/tests/fuzz_corpus.rs` call the same functions.

#[path = "targets/gossip.rs"]
mod gossip;
#[path = "targets/handle.rs"]
mod handle;
#[path = "targets/hls.rs"]
mod hls;
#[path = "targets/rtmp.rs"]
mod rtmp;
#[path = "targets/sdp.rs"]
mod sdp;
#[path = "targets/srt.rs"]
mod srt;
#[path = "targets/stream_key.rs"]
mod stream_key;
#[path = "targets/stun.rs"]
mod stun;
#[path = "targets/ticket.rs"]
mod ticket;

/// Name and function.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const ALL: &[Target] = &[
    ("gossip", gossip::run),
    ("handle", handle::run),
    ("m3u8", hls::playlist),
    ("rtmp_amf0", rtmp::amf0),
    ("rtmp_chunk", rtmp::chunk),
    ("rtmp_handshake", rtmp::handshake),
    ("rtmp_session", rtmp::session),
    ("sdp_answer", sdp::answer),
    ("sdp_fragment", sdp::fragment),
    ("sdp_offer", sdp::offer),
    ("segment_name", hls::segment),
    ("srt_handshake", srt::handshake),
    ("srt_packet", srt::packet),
    ("srt_session", srt::session),
    ("srt_streamid", srt::stream_id),
    ("stream_key", stream_key::run),
    ("stun", stun::run),
    ("ticket", ticket::run),
    ("viewer", hls::viewer),
];

/// Whatever it is: that it came back at all is what counts.
fn any<T>(value: T) {
    std::hint::black_box(value);
}
