//! Bodies: requests read within their limits, and answers that are mostly one piece.

use std::future::Future as _;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::connection::Running;
use crate::outcome::Refusal;

/// What bounds the body of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Its bytes.
    pub(super) bytes: u64,
    /// The time from the headers to its end.
    pub(super) time: Duration,
}

/// Reads a body whole. A body of one frame, which most are, is not copied.
///
/// # Errors
/// The body is over the limit, which an announced length shows before anything is read; it took too
/// long; or it was cut.
pub(super) async fn read<B>(body: B, bounds: Bounds) -> Result<Bytes, Refusal>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = body.size_hint().lower();
    if announced > bounds.bytes {
        return Err(Refusal::TooLarge { allowed: bounds.bytes, used: announced });
    }
    let mut reading = pin!(collect(body, bounds.bytes));
    // A small body came with its headers: then no timer is touched.
    let first = std::future::poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
    match first {
        Poll::Ready(result) => result,
        Poll::Pending => {
            tokio::time::timeout(bounds.time, reading).await.unwrap_or(Err(Refusal::BodyTimeout))
        }
    }
}

async fn collect<B>(mut body: B, limit: u64) -> Result<Bytes, Refusal>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut used: u64 = 0;
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let data = match frame {
            None => break,
            Some(Err(_)) => return Err(Refusal::BodyCut),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                // Trailers say nothing to a guest.
                Err(_) => continue,
            },
        };
        used = used.saturating_add(data.len() as u64);
        if used > limit {
            return Err(Refusal::TooLarge { allowed: limit, used });
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
            if body.is_end_stream() {
                break;
            }
            continue;
        }
        if rest.is_empty() {
            let left = usize::try_from(body.size_hint().lower()).unwrap_or_default();
            rest.reserve(first.len() + data.len() + left);
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Body {
    /// One piece, or nothing.
    Whole(Bytes),
    /// A stream of the admin API. The connection counts as busy while it runs.
    Stream {
        /// What is sent.
        body: axum::body::Body,
        /// Tells the connection when the stream ends.
        _running: Running,
    },
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Whole(bytes.into())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream { body, .. } => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream { body, .. } => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A body of frames, of which the last one may never come.
    struct Frames {
        frames: VecDeque<Result<&'static [u8], ()>>,
        announced: u64,
        stalls: bool,
    }

    impl HttpBody for Frames {
        type Data = Bytes;
        type Error = ();

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
            match self.frames.pop_front() {
                Some(frame) => Poll::Ready(Some(frame.map(|data| Frame::data(Bytes::from_static(data))))),
                None if self.stalls => Poll::Pending,
                None => Poll::Ready(None),
            }
        }

        fn size_hint(&self) -> SizeHint {
            let mut hint = SizeHint::new();
            hint.set_lower(self.announced);
            hint
        }
    }

    fn frames<const N: usize>(frames: [&'static [u8]; N]) -> Frames {
        Frames { frames: frames.map(Ok).into(), announced: 0, stalls: false }
    }

    const BOUNDS: Bounds = Bounds { bytes: 8, time: Duration::from_millis(50) };

    #[tokio::test]
    async fn a_body_of_one_frame_is_not_copied() {
        static BYTES: &[u8] = b"12345678";
        let read = read(frames([BYTES]), BOUNDS).await.unwrap();
        assert_eq!(read.as_ptr(), BYTES.as_ptr());
        assert_eq!(read, BYTES);
    }

    #[tokio::test]
    async fn pieces_are_joined_in_order_and_empty_ones_do_no_harm() {
        assert_eq!(read(frames([b"", b"12", b"", b"34", b"5"]), BOUNDS).await.unwrap(), "12345");
        assert_eq!(read(frames([]), BOUNDS).await.unwrap(), "");
    }

    #[tokio::test]
    async fn the_limit_holds_before_and_while_a_body_is_read() {
        let announced = Frames { announced: 9, ..frames([b"never read"]) };
        let refusal = read(announced, BOUNDS).await.unwrap_err();
        assert_eq!(refusal, Refusal::TooLarge { allowed: 8, used: 9 });
        let refusal = read(frames([b"12345678", b"9"]), BOUNDS).await.unwrap_err();
        assert_eq!(refusal, Refusal::TooLarge { allowed: 8, used: 9 });
    }

    #[tokio::test]
    async fn a_body_that_stalls_or_breaks_is_refused() {
        let stalls = Frames { stalls: true, ..frames([b"12"]) };
        assert_eq!(read(stalls, BOUNDS).await.unwrap_err(), Refusal::BodyTimeout);
        let mut breaks = frames([b"12"]);
        breaks.frames.push_back(Err(()));
        assert_eq!(read(breaks, BOUNDS).await.unwrap_err(), Refusal::BodyCut);
    }
}
