//! The pool, and the path of a call, top to bottom.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;

#[cfg(doc)]
use antiphon::errors::ErrorKind;
use antiphon::errors::Result;
use antiphon::{Awaiting, BoxFuture, Request, Response, block_on, ticker};

use crate::instance::Instance;
use crate::keeper::LOOK;
use crate::lease::{Lease, Plain};
#[cfg(feature = "tower")]
use crate::promise::Promise;
use crate::queue::Turn;
use crate::report::{CallSpan, PoolStats, Recorder};
use crate::shared::Inner;

/// A pool of instances of one module, for any number of tasks and threads. Clones share the pool.
///
/// A call takes a free instance and runs where its caller is: on the caller's executor or thread.
/// If no instance is free, the call waits in a queue, first come first served, up to its deadline.
/// A thread of the pools rebuilds an instance that a call broke, so no other call waits for that.
///
/// ```
/// use antiphon::testing::{TestEngine, TestFactory};
/// use antiphon_pool::HostPool;
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), antiphon::errors::Error> { antiphon::block_on(async {
/// let guest = TestEngine::new().operation("greet", |name| Ok([b"hello ", name].concat()));
/// let pool = HostPool::builder(Arc::new(TestFactory::new(guest))).max(4).build().await?;
/// assert_eq!(pool.call("greet", b"world").await?, b"hello world");
/// // The same pool, on a thread without a runtime.
/// let answer = std::thread::spawn({
///     let pool = pool.clone();
///     move || pool.call_blocking("greet", b"thread")
/// });
/// assert_eq!(answer.join().unwrap()?, b"hello thread");
/// assert_eq!(pool.stats().calls, 2);
/// # Ok(())
/// # }) }
/// ```
#[must_use]
pub struct HostPool {
    pub(crate) inner: Arc<Inner>,
    #[cfg(feature = "tower")]
    pub(crate) promise: Option<Promise>,
}

impl HostPool {
    /// The largest number of instances that a pool can have.
    pub const MAX_INSTANCES: usize = 1 << 16;

    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            #[cfg(feature = "tower")]
            promise: None,
        }
    }

    /// Calls an operation of the guest in a free instance.
    ///
    /// # Errors
    /// Those of [`WapcHostAsync::call`](antiphon::WapcHostAsync::call), and:
    /// - [`Overloaded`](ErrorKind::Overloaded), at once, if the queue is full or the pool was
    ///   drained.
    /// - [`DeadlineExceeded`](ErrorKind::DeadlineExceeded) in
    ///   [`Phase::Queue`](antiphon::errors::Phase::Queue) if the wait for an instance took too
    ///   long.
    /// - [`InitFailed`](ErrorKind::InitFailed) or [`OutOfResources`](ErrorKind::OutOfResources), at
    ///   once, while no instance can be started.
    /// - [`Reentrancy`](ErrorKind::Reentrancy), at once, if a handler of the pool makes the call
    ///   and every instance would be held by a call that waits for another one, or if the call is
    ///   nested too deep ([`Caller::MAX_DEPTH`](antiphon::Caller::MAX_DEPTH)).
    ///
    /// # Cancel safety
    /// The future may be dropped at any await. A call that waits then leaves the queue. A call that
    /// runs costs its instance, whose place is free as soon as the guest has stopped. Other calls
    /// are not disturbed.
    pub async fn call(&self, op: &str, payload: &[u8]) -> Result<Vec<u8>> {
        let span = CallSpan::new(op);
        match self.inner.take() {
            Some(lease) => lease.run(span, Plain { operation: op, payload }).await,
            None => {
                let response = self.inner.queue_up(Request::new(op, payload), span, false).await?;
                Ok(response.payload)
            }
        }
    }

    /// Calls an operation with options. The time in the queue counts towards the deadline.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    ///
    /// # Cancel safety
    /// The future may be dropped as that of [`call`](Self::call).
    pub async fn call_with(&self, request: Request<'_>) -> Result<Response> {
        let span = CallSpan::new(request.operation());
        match self.inner.take() {
            Some(lease) => lease.run(span, request).await,
            None => self.inner.queue_up(request, span, false).await,
        }
    }

    /// Calls an operation from a thread that has no runtime. The thread parks while it waits, up to
    /// the deadline of the call. Do not use it on a thread of an executor: the tasks of that thread
    /// would wait, and the call may wait for one of them.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn call_blocking(&self, op: &str, payload: &[u8]) -> Result<Vec<u8>> {
        block_on(self.call(op, payload))
    }

    /// Calls an operation with options from a thread that has no runtime, as
    /// [`call_blocking`](Self::call_blocking) does.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn call_with_blocking(&self, request: Request<'_>) -> Result<Response> {
        block_on(self.call_with(request))
    }

    /// Returns the number of the version that serves: 1 for the module that the pool was built
    /// with.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.inner.queue.current().number
    }

    /// Returns what the pool is doing and what it has done.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let inner = &*self.inner;
        let counts = inner.queue.counts();
        let (versions, total) = inner.history.stats();
        let mut stats = PoolStats {
            idle: counts.idle,
            busy: counts.busy,
            starting: counts.starting,
            max: inner.settings.max,
            queued: counts.waiting,
            calls: total.calls,
            errors: total.errors,
            dropped: total.dropped,
            rebuilds: inner.tally.rebuilds.load(Ordering::Relaxed),
            failed_starts: inner.tally.failed_starts.load(Ordering::Relaxed),
            replaced: inner.tally.replaced.load(Ordering::Relaxed),
            wait: inner.tally.waits.get().map(Recorder::snapshot).unwrap_or_default(),
            run: total.run,
            versions,
        };
        inner.tally.refused.add_to(&mut stats.errors);
        // Calls that did not wait are not in `wait`; they are counted where they ran, and added
        // here as waits of zero.
        stats.wait.add_zeros(stats.calls.saturating_sub(stats.wait.count()));
        stats
    }
}

impl Inner {
    /// Takes a free instance without waiting.
    #[inline]
    fn take(&self) -> Option<Lease<'_>> {
        Some(Lease::new(self, self.queue.try_take()?))
    }

    /// Waits for an instance and runs the call in it.
    ///
    /// The future is boxed. Otherwise its state would be part of every call's future, and would be
    /// moved with it.
    #[cold]
    pub(crate) fn queue_up<'a>(
        &'a self,
        mut request: Request<'a>,
        span: CallSpan,
        promised: bool,
    ) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let lease = match self.wait(&mut request, promised).await {
                Ok(lease) => lease,
                Err(error) => {
                    self.tally.refused.count(error.kind());
                    self.blueprint.meters.refused(&error);
                    span.end(Some(&error));
                    return Err(error);
                }
            };
            lease.run(span, request).await
        })
    }

    async fn wait(&self, request: &mut Request<'_>, promised: bool) -> Result<Lease<'_>> {
        if let Err(too_deep) = request.check_depth() {
            if promised {
                self.queue.forgo_promise();
            }
            return Err(too_deep);
        }
        let since = Instant::now();
        request.begin(self.queue.current().deadline());
        let _queued = self.blueprint.meters.queued();
        let awaiting = request.awaiting();
        let turn = async { self.turn(promised, awaiting).await.map(|held| Lease::new(self, held)) };
        let lease =
            request.queue(self.settings.wait, turn).await?.map_err(|refusal| self.refusal(refusal))?;
        let waited = since.elapsed();
        self.tally.waits.get_or_init(Recorder::default).record(waited);
        self.blueprint.meters.waited(waited);
        Ok(lease)
    }

    /// Waits in the queue. If no thread is free for the keeper, the call starts an instance itself.
    async fn turn(&self, promised: bool, awaiting: Awaiting) -> Turn<Instance> {
        if self.keeper.is_absent() && self.queue.is_failing() {
            // Without a keeper nothing else tries again, and the call would be refused at once.
            self.keeper.stand_in(self).await;
        }
        let mut turn = pin!(self.queue.enter(promised, awaiting));
        // The keeper is called where the call enters the queue.
        if let Poll::Ready(turn) = poll_fn(|cx| Poll::Ready(turn.as_mut().poll(cx))).await {
            return turn;
        }
        while self.keeper.is_absent() {
            let mut start = pin!(self.keeper.stand_in(self));
            let came = poll_fn(|cx| match turn.as_mut().poll(cx) {
                Poll::Ready(turn) => Poll::Ready(Some(turn)),
                Poll::Pending => start.as_mut().poll(cx).map(|()| None),
            });
            if let Some(turn) = came.await {
                return turn;
            }
            if let Some(turn) = ticker::within(LOOK, turn.as_mut()).await {
                return turn;
            }
        }
        turn.await
    }
}

impl Clone for HostPool {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.inner))
    }
}

impl fmt::Debug for HostPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostPool").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}
