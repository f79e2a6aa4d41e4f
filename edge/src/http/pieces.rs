//! A body in memory that is sent piece by piece.
//!
//! The server copies a body into its write buffer before it writes it, a whole one at once. For a segment that would be a fresh buffer of its
//! size, mapped and thrown away for each answer, and held as long as a slow viewer reads. Pieces go through one small buffer that stays.

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// Bytes of a piece: few calls to the kernel for a segment, and a buffer that a CPU's cache holds.
const PIECE_BYTES: usize = 64 * 1024;

/// What is left to send.
#[derive(Debug)]
pub(crate) struct Pieces(pub(crate) Bytes);

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let count = self.0.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(self.0.split_to(count))))
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        if self.0.len() <= PIECE_BYTES { Ok(self.0) } else { Err(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;
    use std::{future::poll_fn, pin::pin};

    #[actix_web::test]
    async fn pieces_make_up_the_whole() {
        for len in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES - 1] {
            let whole: Bytes = (0_u8..251).cycle().take(len).collect::<Vec<_>>().into();
            assert_eq!(Pieces(whole.clone()).size(), BodySize::Sized(len as u64));
            let mut pieces = pin!(Pieces(whole.clone()));
            let (mut joined, mut longest) = (Vec::new(), 0);
            while let Some(Ok(piece)) = poll_fn(|cx| pieces.as_mut().poll_next(cx)).await {
                longest = longest.max(piece.len());
                joined.extend_from_slice(&piece);
            }
            assert!(joined == whole && longest <= PIECE_BYTES, "{len}");
            assert_eq!(to_bytes(Pieces(whole.clone())).await.unwrap(), whole);
        }
    }
}
