//! The pool as a `tower::Service`.

use std::task::{Context, Poll};

use antiphon::errors::{Error, Result};
use antiphon::{BoxFuture, Request, Response};
use tower_service::Service;

use crate::pool::HostPool;
use crate::promise::Promise;
use crate::report::CallSpan;

/// A service that is ready has a place in the pool's queue set aside. So the next call is never
/// refused as [`Overloaded`](antiphon::errors::ErrorKind::Overloaded), except by a drain in
/// between. A call on a service that is not ready is made like any other.
///
/// A service that is not ready becomes so when a call leaves the queue. The pool's own handlers
/// should not wait for that, but use [`call_with`](HostPool::call_with). A service that waits to be
/// ready is not in the queue yet: it has no deadline, and the check that refuses calls which would
/// wait for each other does not see it.
impl Service<Request<'static>> for HostPool {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.promise.is_some() {
            return Poll::Ready(Ok(()));
        }
        match self.inner.queue.poll_promise(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => {
                self.promise = Some(Promise::new(&self.inner));
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(refusal)) => Poll::Ready(Err(self.inner.refusal(refusal))),
        }
    }

    fn call(&mut self, request: Request<'static>) -> Self::Future {
        let promise = self.promise.take();
        let pool = self.clone();
        Box::pin(async move {
            let Some(promise) = promise else { return pool.call_with(request).await };
            let span = CallSpan::new(request.operation());
            // The queue takes the promise over when the call is first polled.
            let call = pool.inner.queue_up(request, span, true);
            promise.redeem();
            call.await
        })
    }
}
