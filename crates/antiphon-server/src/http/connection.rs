//! One connection: what it may take its time for, and how it ends.
//!
//! hyper knows when a request begins and ends, and the wire knows when bytes come. The [`Watch`]
//! joins the two, so that one timer a connection bounds everything that a client can delay: the
//! first byte, the headers, the silence between two requests, the reading of an answer. A request
//! touches a few atomics of its own connection, and no timer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What a client may take its time for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the first byte and the headers.
    pub(super) header: Duration,
    /// Between two requests, for a body, and for taking an answer.
    pub(super) idle: Duration,
    /// For one more request on a silent connection when the server stops.
    pub(super) linger: Duration,
}

/// The longest wait for a client to take an answer that came before its body was read.
const UNREAD: Duration = Duration::from_secs(2);
/// The most bytes of such a body that are read and thrown away.
const UNREAD_BYTES: usize = 4 << 20;

/// Nothing has come yet, or only a part of the first headers.
const FRESH: u8 = 0;
/// A part of later headers has come.
const HEAD: u8 = 1;
/// The last answer is being written, or is gone.
const ANSWERED: u8 = 2;
/// The server has closed its side, and reads what the client still sends.
const UNREADING: u8 = 3;

/// The state of a connection, shared by its wire, its service and its timer.
#[derive(Debug)]
pub(super) struct Watch {
    began: Instant,
    patience: Patience,
    phase: AtomicU8,
    /// When the phase began, in milliseconds since the connection did.
    since: AtomicU64,
    /// Requests whose answer is not there yet, and answers that are streams.
    running: AtomicUsize,
    /// A request was answered whose body was not read.
    unread: AtomicBool,
    closing: AtomicBool,
    /// When closing was asked for, as `since`.
    closing_since: AtomicU64,
    killed: AtomicBool,
    waker: AtomicWaker,
    /// The connection carries many requests at once, so bytes may belong to none.
    streams: AtomicBool,
}

impl Watch {
    pub(super) fn new(patience: Patience) -> Self {
        Self {
            began: Instant::now(),
            patience,
            phase: AtomicU8::new(FRESH),
            since: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            unread: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            closing_since: AtomicU64::new(0),
            killed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            streams: AtomicBool::new(false),
        }
    }

    /// Notes that the connection is one of HTTP/2.
    pub(super) fn set_streams(&self) {
        self.streams.store(true, Ordering::Relaxed);
    }

    /// Returns whether the connection is one of HTTP/2.
    pub(super) fn has_streams(&self) -> bool {
        self.streams.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn enter(&self, phase: u8) {
        self.since.store(self.now(), Ordering::Relaxed);
        self.phase.store(phase, Ordering::Relaxed);
    }

    /// Notes that a request has arrived, until the guard is dropped.
    pub(super) fn running(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Notes that a request is answered whose body was not read. The connection ends after it, and
    /// what still comes is read and thrown away for a while: otherwise the system resets the
    /// connection, and the client may lose the answer.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Returns whether the next answer has to be the last one.
    pub(super) fn is_last(&self) -> bool {
        self.closing.load(Ordering::Relaxed) || self.unread.load(Ordering::Relaxed)
    }

    /// Asks the connection to end after what it is doing.
    pub(super) fn close(&self) {
        self.closing_since.store(self.now(), Ordering::Relaxed);
        self.closing.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Ends the connection in whatever it is doing.
    pub(super) fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Notes that bytes came.
    fn on_read(&self) {
        let answered = self.phase.load(Ordering::Relaxed) == ANSWERED;
        if answered && self.running.load(Ordering::Relaxed) == 0 && !self.has_streams() {
            self.enter(HEAD);
        }
    }

    /// Returns when the client's patience ends, if that may be earlier than the timer was set for.
    fn ends_early(&self) -> Option<Instant> {
        matches!(self.phase.load(Ordering::Relaxed), HEAD | UNREADING).then(|| self.ends_at()).flatten()
    }

    /// Returns when the client's patience ends if nothing happens until then; `None` while the
    /// server is busy for it.
    fn ends_at(&self) -> Option<Instant> {
        let phase = self.phase.load(Ordering::Relaxed);
        if phase != UNREADING && self.running.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let limit = match phase {
            FRESH | HEAD => self.patience.header,
            UNREADING => UNREAD,
            _ => self.patience.idle,
        };
        Some(self.at(&self.since) + limit)
    }

    fn at(&self, millis: &AtomicU64) -> Instant {
        self.began + Duration::from_millis(millis.load(Ordering::Relaxed))
    }
}

/// A request that is being answered, or an answer that is a stream.
#[derive(Debug)]
pub(super) struct Running(Arc<Watch>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.enter(ANSWERED);
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection of hyper, of either version.
pub(super) trait Drive: Future<Output = hyper::Result<()>> {
    /// Begins to end the connection, after what it is doing.
    fn finish(self: Pin<&mut Self>);
}

/// Runs a connection until it ends, its client's patience ends, or the server stops.
pub(super) async fn drive<C: Drive>(connection: C, watch: &Watch) {
    let mut connection = std::pin::pin!(connection);
    let mut timer: Pin<&mut Sleep> =
        std::pin::pin!(sleep_until(watch.ends_at().unwrap_or(watch.began + watch.patience.header)));
    let mut finishing = false;
    std::future::poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        watch.waker.register(cx.waker());
        if watch.killed.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let closing = watch.closing.load(Ordering::Acquire) && !finishing;
        if closing {
            let until = watch.at(&watch.closing_since) + watch.patience.linger;
            if timer.deadline() > until {
                timer.as_mut().reset(until);
            }
        }
        if let Some(end) = watch.ends_early()
            && end < timer.deadline()
        {
            timer.as_mut().reset(end);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let end = watch.ends_at();
            if end.is_some_and(|end| end <= now) {
                return Poll::Ready(());
            }
            if closing && watch.at(&watch.closing_since) + watch.patience.linger <= now && !finishing {
                // A request that is running is finished, and its answer says that it is the last.
                finishing = true;
                connection.as_mut().finish();
                if connection.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
            }
            // While a request runs, look again later: the end of a request sets no timer.
            let next = end.unwrap_or(now + watch.patience.header);
            timer.as_mut().reset(next.max(now + Duration::from_millis(1)));
        }
        Poll::Pending
    })
    .await;
}

/// A socket that tells its watch what comes, and closes without losing the last answer.
pub(super) struct Wire<S> {
    socket: S,
    watch: Arc<Watch>,
    /// Bytes thrown away after the server closed its side.
    unread: usize,
}

impl<S> Wire<S> {
    pub(super) fn new(socket: S, watch: Arc<Watch>) -> Self {
        Self { socket, watch, unread: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.socket).poll_read(cx, buffer));
        if buffer.filled().len() > before {
            self.watch.on_read();
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.watch.phase.load(Ordering::Relaxed) != UNREADING {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            if !this.watch.unread.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            this.watch.enter(UNREADING);
        }
        let mut scratch = [0; 8192];
        while this.unread < UNREAD_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut this.socket).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
            this.unread += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
