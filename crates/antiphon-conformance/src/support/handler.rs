//! Handlers of host calls, written once for every mode.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use antiphon::{BoxFuture, Bytes, HostCall, HostCallError, HostHandler, HostHandlerAsync, block_on};

pub(crate) type Said = Result<Bytes, HostCallError>;

/// The answer of a handler, and when it comes.
pub(crate) enum Answer {
    Now(Said),
    /// Answers after a time. A synchronous handler sleeps, an asynchronous one awaits a timer.
    After(Duration, Said),
    /// Answers only after the call's deadline: an asynchronous handler never does, a synchronous
    /// one returns a little later.
    Never,
    /// Answers with what the future returns. A synchronous handler blocks on it.
    Later(BoxFuture<'static, Said>),
}

impl Answer {
    pub(crate) fn ok(bytes: impl Into<Bytes>) -> Self {
        Self::Now(Ok(bytes.into()))
    }
}

/// A handler, and whether it always answers at once.
#[derive(Clone)]
pub(crate) struct Handler {
    answer: Arc<dyn Fn(HostCall<'_>) -> Answer + Send + Sync>,
    pub(crate) at_once: bool,
}

impl Handler {
    /// Returns a handler that may wait.
    pub(crate) fn new(answer: impl Fn(HostCall<'_>) -> Answer + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), at_once: false }
    }

    /// Returns a handler that never waits.
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

/// Panics without the message that a test run would print.
pub(crate) fn panic_quietly(payload: impl std::any::Any + Send) -> ! {
    std::panic::resume_unwind(Box::new(payload))
}
