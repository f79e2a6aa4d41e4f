//! Traces of sessions, by OTLP over HTTP with JSON (`OTEL_EXPORTER_OTLP_ENDPOINT`).
//!
//! A session's trace id is its session id, which travels in reservations and in the ticket that SRS's hook brings back: so the client's POST at an edge,
//! the reservation and the hooks at any control-api make one trace, though SRS hands on no trace context. The span that opens a session at an edge has an
//! id made from the session's; whoever else speaks of the session names it as parent. Requests that belong to no session are not exported.
//!
//! The encoding is OTLP 1.x's JSON mapping: ids in hexadecimal, times in decimal text.

use proto::SessionId;
use serde_json::{Value, json};
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::{
    Event, Id, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};
use url::Url;

/// Spans that wait; more are dropped and counted in the log.
const QUEUE: usize = 4_096;
/// Spans of one request to the collector.
const BATCH: usize = 512;
/// Longest wait of a span for others.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How long the collector may take, and the end of the process waits for the last batch.
const SEND_MAX: Duration = Duration::from_secs(5);
/// The field that names the session.
const SESSION: &str = "session.id";

/// What traces are sent as.
#[derive(Debug, Clone)]
pub struct Otlp {
    /// The collector, `http://host:4318`.
    pub endpoint: Url,
    /// `service.name`.
    pub service: &'static str,
    /// Whether sessions begin in this process: its spans are the parents of other processes'.
    pub begins: bool,
}

/// Ends the sending in order.
#[derive(Debug)]
pub struct Flush(mpsc::Sender<Message>);

impl Flush {
    /// Sends what waits; gives up after some seconds.
    pub async fn finish(self) {
        let (done, sent) = oneshot::channel();
        if self.0.send(Message::End(done)).await.is_ok() {
            // A collector that is away has nothing to answer.
            tokio::time::timeout(SEND_MAX, sent).await.ok();
        }
    }
}

enum Message {
    Span(Value),
    End(oneshot::Sender<()>),
}

/// Collects spans; see [`start`].
pub struct Spans {
    to: mpsc::Sender<Message>,
    begins: bool,
    dropped: AtomicU64,
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").field("begins", &self.begins).finish_non_exhaustive()
    }
}

/// The layer, and the task that sends what it collects. Call it in a tokio runtime.
///
/// # Errors
/// A text for the operator: an address that is none.
pub fn start(otlp: &Otlp) -> Result<(Spans, Flush), String> {
    let path = format!("{}/v1/traces", otlp.endpoint.as_str().trim_end_matches('/'));
    let url = Url::parse(&path).map_err(|_| "OTEL_EXPORTER_OTLP_ENDPOINT: not an address".to_owned())?;
    let client = reqwest::Client::builder().timeout(SEND_MAX).build().map_err(|error| error.to_string())?;
    let (to, spans) = mpsc::channel(QUEUE);
    tokio::spawn(send(spans, client, url, otlp.service));
    Ok((Spans { to: to.clone(), begins: otlp.begins, dropped: AtomicU64::new(0) }, Flush(to)))
}

/// What is kept of a span while it is open.
struct Open {
    id: [u8; 8],
    began: SystemTime,
    session: Option<SessionId>,
    fields: Vec<Value>,
    failed: bool,
}

impl Visit for Open {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == SESSION {
            self.session = SessionId::parse(value).ok();
        }
        self.fields.push(attribute(field.name(), value));
    }
}

fn attribute(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// The id of the span that opens a session: the second half of the session's, never zero since it is drawn.
fn beginning(session: SessionId) -> [u8; 8] {
    let mut id = [0; 8];
    id.iter_mut().zip(session.as_bytes().iter().skip(8)).for_each(|(to, from)| *to = *from);
    id
}

fn nanos(at: SystemTime) -> String {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

impl<S> Layer<S> for Spans
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut open = Open {
            id: crate::random::bytes(),
            began: SystemTime::now(),
            session: None,
            fields: Vec::new(),
            failed: false,
        };
        attributes.record(&mut open);
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(open);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        if let Some(span) = context.event_span(event)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            open.failed = true;
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let above = |span: &tracing_subscriber::registry::SpanRef<'_, S>| {
            span.extensions().get::<Open>().map(|open| (open.id, open.session))
        };
        let parents: Vec<_> = span.scope().skip(1).filter_map(|span| above(&span)).collect();
        let Some(session) = open.session.or_else(|| parents.iter().find_map(|(_, session)| *session)) else { return };
        // The outermost span of the process that opens sessions is the trace's root, also as others' parent.
        let root = |outermost: bool, own: [u8; 8]| if outermost && self.begins { beginning(session) } else { own };
        let id = root(parents.is_empty(), open.id);
        let parent = match parents.first() {
            Some((own, _)) => hex(&root(parents.len() == 1, *own)),
            None if self.begins => String::new(),
            None => hex(&beginning(session)),
        };
        let status = if open.failed { json!({"code": 2}) } else { json!({}) };
        let made = json!({
            "traceId": hex(session.as_bytes()), "spanId": hex(&id), "parentSpanId": parent, "name": span.name(),
            "kind": if parents.is_empty() { 2 } else { 1 }, "startTimeUnixNano": nanos(open.began),
            "endTimeUnixNano": nanos(SystemTime::now()), "attributes": open.fields, "status": status,
        });
        if self.to.try_send(Message::Span(made)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "spans were not exported: the collector is too slow");
        }
    }
}

async fn send(mut spans: mpsc::Receiver<Message>, client: reqwest::Client, url: Url, service: &'static str) {
    let mut reached = true;
    let mut ended = None;
    while ended.is_none() {
        let mut batch = Vec::new();
        let Some(first) = spans.recv().await else { return };
        let deadline = Instant::now() + WAIT_MAX;
        let mut next = Some(first);
        while let Some(message) = next.take() {
            match message {
                Message::Span(span) => batch.push(span),
                Message::End(done) => ended = Some(done),
            }
            if ended.is_none() && batch.len() < BATCH {
                next = tokio::time::timeout_at(deadline, spans.recv()).await.unwrap_or_default();
            }
        }
        if !batch.is_empty() {
            let body = json!({"resourceSpans": [{
                "resource": {"attributes": [attribute("service.name", service)]},
                "scopeSpans": [{"scope": {"name": "keystone"}, "spans": batch}],
            }]});
            let sent = client.post(url.clone()).json(&body).send().await.and_then(reqwest::Response::error_for_status);
            if reached && sent.is_err() {
                tracing::warn!("traces do not reach OTEL_EXPORTER_OTLP_ENDPOINT; they are dropped until it answers");
            }
            reached = sent.is_ok();
        }
    }
    if let Some(done) = ended {
        // Whoever waited may have given up.
        done.send(()).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt as _;

    const ID: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

    fn layer(begins: bool) -> (Spans, mpsc::Receiver<Message>) {
        let (to, spans) = mpsc::channel(16);
        (Spans { to, begins, dropped: AtomicU64::new(0) }, spans)
    }

    fn taken(spans: &mut mpsc::Receiver<Message>) -> Vec<Value> {
        std::iter::from_fn(|| match spans.try_recv() {
            Ok(Message::Span(span)) => Some(span),
            Ok(Message::End(_)) | Err(_) => None,
        })
        .collect()
    }

    #[test]
    fn two_processes_make_one_tree_out_of_a_session_id() {
        let session = SessionId::from_bytes(ID);
        let (edge, mut of_edge) = layer(true);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(edge), || {
            let request = tracing::info_span!("request", session.id = tracing::field::Empty, request.id = "r1");
            let _entered = request.enter();
            request.record("session.id", tracing::field::display(session));
            tracing::info_span!("srs.post").in_scope(|| tracing::error!("no answer"));
        });
        let (control, mut of_control) = layer(false);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(control), || {
            tracing::info_span!("request", route = "/metrics").in_scope(|| ());
            tracing::info_span!("request", session.id = %session).in_scope(|| ());
        });
        let (edge, control) = (taken(&mut of_edge), taken(&mut of_control));
        let [post, request] = edge.as_slice() else { panic!("{edge:?}") };
        let [hook] = control.as_slice() else { panic!("what belongs to no session is not exported: {control:?}") };
        for span in [post, request, hook] {
            assert_eq!(span["traceId"], "0102030405060708090a0b0c0d0e0f10");
        }
        assert_eq!((&request["spanId"], &request["parentSpanId"]), (&"090a0b0c0d0e0f10".into(), &"".into()));
        assert_eq!((&post["parentSpanId"], &hook["parentSpanId"]), (&request["spanId"], &request["spanId"]));
        assert_eq!((&post["status"]["code"], &request["status"]), (&2.into(), &json!({})));
        assert!(request["attributes"].to_string().contains("r1"));
        let time = |span: &Value, name: &str| span[name].as_str().unwrap().parse::<u128>().unwrap();
        assert!(time(request, "startTimeUnixNano") <= time(post, "startTimeUnixNano"));
        assert!(time(post, "endTimeUnixNano") <= time(request, "endTimeUnixNano"));
    }

    #[actix_web::test]
    async fn batches_arrive_at_a_collector_also_the_last_one() {
        let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
        let keep = seen.clone();
        let server = actix_web::HttpServer::new(move || {
            let keep = keep.clone();
            let take = move |body: actix_web::web::Json<Value>| {
                let keep = keep.clone();
                async move {
                    keep.lock().unwrap().push(body.into_inner());
                    "{}"
                }
            };
            actix_web::App::new().route("/otlp/v1/traces", actix_web::web::post().to(take))
        });
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
        let port = server.addrs()[0].port();
        let running = server.run();
        let handle = running.handle();
        tokio::spawn(running);
        let endpoint = Url::parse(&format!("http://127.0.0.1:{port}/otlp")).unwrap();
        let (spans, flush) = start(&Otlp { endpoint, service: "edge-gateway", begins: true }).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
            tracing::info_span!("request", session.id = %SessionId::from_bytes(ID)).in_scope(|| ());
        });
        flush.finish().await;
        let seen = seen.lock().unwrap().clone();
        let resource = &seen[0]["resourceSpans"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "edge-gateway");
        assert_eq!(resource["scopeSpans"][0]["spans"][0]["name"], "request");
        handle.stop(false).await;
    }
}
