//! Handlers of host calls, written once for every mode.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use antiphon::{BoxFuture, Bytes, HostCall, HostCallError, HostHandler, HostHandlerAsync, block_on};

pub(crate) type Said = Result<Bytes, HostCallError>;

/// When and what a handler answers.
pub(crate) enum Answer {
    Now(Said),
    /// After a time: slept through by a synchronous handler, awaited by an asynchronous one.
    After(Duration, Said),
    /// Not before the call's deadline; a synchronous handler returns a little later than that.
    Never,
    /// Whatever the future says: blocked on by a synchronous handler.
    Later(BoxFuture<'static, Said>),
}

impl Answer {
    pub(crate) fn ok(bytes: impl Into<Bytes>) -> Self {
        Self::Now(Ok(bytes.into()))
    }
}

/// A handler, with whether it always answers at once.
#[derive(Clone)]
pub(crate) struct Handler {
    answer: Arc<dyn Fn(HostCall<'_>) -> Answer + Send + Sync>,
    pub(crate) at_once: bool,
}

impl Handler {
    /// A handler that may wait.
    pub(crate) fn new(answer: impl Fn(HostCall<'_>) -> Answer + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), at_once: false }
    }

    /// A handler that never waits.
    pub(crate) fn at_once(answer: impl Fn(HostCall<'_>) -> Said + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(move |call| Answer::Now(answer(call))), at_once: true }
    }
}

impl HostHandler for Handler {
    fn handle(&self, call: HostCall<'_>) -> Said {
        match (self.answer)(call) {
            Answer::Now(said) => said,
            Answer::After(time, said) => {
                thread::sleep(time);
                said
            }
            Answer::Never => {
                let deadline = call.deadline().expect("a call without a deadline would never end");
                thread::sleep(deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(30));
                Ok(Bytes::new())
            }
            Answer::Later(future) => block_on(future),
        }
    }
}

#[async_trait::async_trait]
impl HostHandlerAsync for Handler {
    async fn handle(&self, call: HostCall<'_>) -> Said {
        match (self.answer)(call) {
            Answer::Now(said) => said,
            Answer::After(time, said) => {
                tokio::time::sleep(time).await;
                said
            }
            Answer::Never => std::future::pending().await,
            Answer::Later(future) => future.await,
        }
    }
}

/// A panic of a handler, without the message that a test run would print for it.
pub(crate) fn panic_quietly(payload: impl std::any::Any + Send) -> ! {
    std::panic::resume_unwind(Box::new(payload))
}
