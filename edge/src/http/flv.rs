//! `/live/{stream}.flv`, the same under `/hls`: HTTP-FLV, passed on from the stream's node as it comes.
//!
//! SRS answers nothing at all until media comes, so the first byte has a deadline of its own. A client that does not read holds its node's connection
//! back, and is cut when it has not taken anything for a while; nothing grows meanwhile.

use super::{extract, file, query};
use crate::{
    ApiError, Front,
    front::{Grant, GrantRequest, Lease},
    hls::Ask,
    srs::SrsError,
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
    web,
};
use bytes::Bytes;
use proto::{
    session::{Protocol, Role},
    viewer,
};
use std::{convert::Infallible, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

const FLV: &str = "video/x-flv";
/// Pieces that wait for the client: SRS writes at most 64 KiB at once, so that 1 MiB is the most.
const PIECES_MAX: usize = 16;
/// How long a client may take nothing before it is cut.
const SLOW_MAX: Duration = Duration::from_secs(8);

/// 200 and media without an end; `Authorization: Bearer` or `?token=` for a private stream. Problems: docs/edge-errors.md.
pub(crate) async fn get(req: HttpRequest, front: web::Data<Front>) -> HttpResponse {
    serve(&req, &front).await.unwrap_or_else(|error| file::refused(&error))
}

async fn serve(req: &HttpRequest, front: &Front) -> Result<HttpResponse, ApiError> {
    let stream = file::stream(req, "flv")?;
    let (credential, client) = (extract::credential(req)?, extract::client(req, front)?);
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CONTENT_TYPE, FLV)).insert_header((header::CACHE_CONTROL, "no-store"));
    if req.method() == Method::HEAD {
        let value = query::value(req.query_string(), viewer::PARAM);
        let ask = Ask { credential: credential.as_deref(), viewer: value.as_deref(), client };
        front.hls().may_watch(&stream, ask).await?;
        return Ok(answer.no_chunking(0).finish());
    }
    let wanted =
        GrantRequest { role: Role::Play, protocol: Protocol::HttpFlv, stream, credential, client, takeover: false };
    let mut grant = front.grant(wanted).await?;
    let (first, rest) = loop {
        match front.hls().open_flv(&grant).await {
            Ok(opened) => break opened,
            Err(SrsError::TimedOut) => {
                drop(grant.failed(SrsError::TimedOut).await);
                return Err(ApiError::MediaLate);
            }
            Err(error) => grant = again(grant, error).await?,
        }
    };
    let lease = grant.opened().await;
    let (give, take) = mpsc::channel(PIECES_MAX);
    tokio::spawn(pump(lease, first, rest, give));
    Ok(answer.streaming(ReceiverStream::new(take).map(Ok::<_, Infallible>)))
}

async fn again(grant: Grant, error: SrsError) -> Result<Grant, ApiError> {
    tracing::warn!(node = %grant.node().id, stream.id = %grant.stream(), %error, "a media node did not open HTTP-FLV: {error}");
    grant.failed(error).await
}

/// Passes media on until the node, the client or the cluster ends it.
async fn pump(lease: Lease, first: Bytes, mut rest: reqwest::Response, give: mpsc::Sender<Bytes>) {
    let mut next = Some(first);
    while let Some(piece) = next {
        let size = u64::try_from(piece.len()).unwrap_or(0);
        let given = tokio::select! {
            biased;
            () = lease.ended() => return,
            given = tokio::time::timeout(SLOW_MAX, give.send(piece)) => given,
        };
        match given {
            Ok(Ok(())) => lease.traffic().sent(size),
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::info!(session.id = %lease.session(), stream.id = %lease.stream(), "a viewer that reads too slowly is cut");
                return;
            }
        }
        next = tokio::select! {
            biased;
            () = lease.ended() => return,
            () = give.closed() => return,
            piece = rest.chunk() => piece.ok().flatten(),
        };
    }
}
