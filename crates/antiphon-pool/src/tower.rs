//! The pool as a `tower::Service`.

use std::task::{Context, Poll};

use antiphon::errors::{Error, Result};
use antiphon::{BoxFuture, Request, Response};
use tower_service::Service;

use crate::pool::HostPool;
use crate::promise::Promise;
use crate::report::CallSpan;

/// Ready means that a place in the pool's queue is set aside, so that the call that follows is never refused as
/// [`Overloaded`](antiphon::errors::ErrorKind::Overloaded) (but by a drain meanwhile). A call on a service that is not ready
/// is made like any other.
///
/// While it is not ready the queue is full; it becomes so when somebody has left the queue. Handlers of the pool's own should not
/// wait for that, but use [`call_with`](HostPool::call_with): who waits to be ready is in no queue yet, has no deadline, and is not
/// seen by what refuses calls that would wait for each other.
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
