//! `GET /{app}/{stream}.flv`: HTTP-FLV of what came by RTMP.
//!
//! As at SRS: `on_play` is asked also for a stream that nobody publishes, not a byte is answered before media comes,
//! the answer ends with the publisher, and `on_stop` follows the viewer's end. A refusal is a closed connection.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{self, HeaderValue};
use tokio_util::sync::CancellationToken;

use super::hooks::{Action, Extra};
use super::http::{Answer, Call, Hangup};
use super::ids;
use super::query::stream_url;
use super::registry::{Client, Kind, Subject, Traffic};
use super::shared::Node;
use super::tap::{Item, Tag, Watch};

/// Signature, version 1, audio and video, header length, and the length of the tag before the first.
const FILE_HEADER: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
/// Bytes before a tag's data.
const TAG_HEADER_BYTES: usize = 11;
/// Longest data of one tag: its length is written in 3 bytes.
const TAG_BYTES_MAX: usize = 0x00ff_ffff;

pub(crate) async fn handle(node: Node, call: Call) -> Answer {
    let subject = subject(&call).ok_or(Hangup)?;
    let client = Client::new(subject.clone(), Kind::FlvPlay, node.now());
    let (traffic, kicked) = (Arc::clone(&client.traffic), client.cancel.clone());
    let url = subject.url.clone();
    node.add(client).map_err(|_| Hangup)?;
    let mut viewer =
        Viewer { node, client_id: subject.client_id.clone(), traffic, kicked, admitted: false, watch: None };
    let stream_id = viewer.node.stream_id(&url);
    if !viewer.node.hooks.ask(Action::Play, &subject, Extra::Stream(stream_id.as_deref())).await {
        return Err(Hangup);
    }
    viewer.admitted = true;
    viewer.watch = Some(viewer.node.taps.watch(&url));
    let first = tokio::select! {
        first = viewer.next() => first.ok_or(Hangup)?,
        () = call.gone.cancelled() => return Err(Hangup),
    };
    let mut head = BytesMut::from(FILE_HEADER);
    head.unsplit(BytesMut::from(first));
    let body = futures_util::stream::unfold((Some(head.freeze()), viewer), |(head, mut viewer)| async move {
        let bytes = match head {
            Some(head) => head,
            None => viewer.next().await?,
        };
        Some((Ok::<_, Infallible>(Frame::data(bytes)), (None, viewer)))
    });
    let mut response = Response::new(StreamBody::new(body).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("video/x-flv"));
    Ok(response)
}

/// Names as SRS puts them; `None` where the path is not of that form.
fn subject(call: &Call) -> Option<Subject> {
    let (app, stream) = call.path.strip_prefix('/')?.strip_suffix(".flv")?.split_once('/')?;
    if app.is_empty() || stream.is_empty() || stream.contains('/') {
        return None;
    }
    Some(Subject {
        client_id: ids::random(8),
        ip: call.ip(),
        app: app.to_owned(),
        stream: stream.to_owned(),
        tc_url: format!("rtmp://__defaultVhost__/{app}"),
        param: if call.query.is_empty() { String::new() } else { format!("?{}", call.query) },
        url: stream_url(app, stream),
    })
}

/// A listed client; its end is told when it is dropped, however that came.
struct Viewer {
    node: Node,
    client_id: String,
    traffic: Arc<Traffic>,
    kicked: CancellationToken,
    admitted: bool,
    watch: Option<Watch>,
}

impl Viewer {
    /// The next tag in FLV form; `None` at the end of the stream or of this viewer.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let item = tokio::select! {
                item = self.watch.as_mut()?.next() => item?,
                () = self.kicked.cancelled() => return None,
            };
            let Item::Tag(tag) = item else { return None };
            let Some(bytes) = flv(&tag) else { continue };
            self.traffic.sent(bytes.len());
            return Some(bytes);
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        if self.admitted {
            self.node.ended(&self.client_id);
        } else {
            self.node.registry().remove(&self.client_id);
        }
    }
}

/// A tag with its header and the length that follows it; `None` when it is too long for the format.
fn flv(tag: &Tag) -> Option<Bytes> {
    let length = u32::try_from(tag.data.len()).ok().filter(|_| tag.data.len() <= TAG_BYTES_MAX)?;
    let total = TAG_HEADER_BYTES.checked_add(tag.data.len())?;
    let mut out = BytesMut::with_capacity(total.checked_add(4)?);
    out.put_u8(tag.kind as u8);
    out.put_uint(u64::from(length), 3);
    out.put_uint(u64::from(tag.timestamp_ms & 0x00ff_ffff), 3);
    out.put_u8(tag.timestamp_ms.to_be_bytes()[0]);
    out.put_uint(0, 3);
    out.put_slice(&tag.data);
    out.put_u32(u32::try_from(total).ok()?);
    Some(out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devnode::tap::TagKind;

    #[test]
    fn a_tag_has_its_length_before_and_behind_and_32_bits_of_time() {
        let tag = Tag { kind: TagKind::Video, timestamp_ms: 0x0102_0304, data: Bytes::from_static(b"xyz") };
        let expected = [9, 0, 0, 3, 2, 3, 4, 1, 0, 0, 0, b'x', b'y', b'z', 0, 0, 0, 14];
        assert_eq!(flv(&tag).unwrap(), expected.as_slice());
        let long = Tag { data: vec![0; TAG_BYTES_MAX + 1].into(), ..tag };
        assert_eq!(flv(&long), None);
    }
}
