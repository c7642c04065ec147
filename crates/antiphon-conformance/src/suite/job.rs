//! Concurrent callers, in either mode.

use std::future::Future;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use antiphon::block_on;

use super::Mode;
use crate::support::runtime;

/// Work beside other work: on a thread of its own, or as a task of the runtime.
pub(crate) enum Job<T> {
    Thread(thread::JoinHandle<T>),
    Task(tokio::task::JoinHandle<T>),
}

impl<T: Send + 'static> Job<T> {
    /// Starts the work. In the synchronous mode its awaits block, so each job gets a thread.
    pub(crate) fn start(mode: Mode, work: impl Future<Output = T> + Send + 'static) -> Self {
        match mode {
            Mode::Sync => Self::Thread(thread::spawn(move || block_on(work))),
            Mode::Async | Mode::Straight => Self::Task(runtime().spawn(work)),
        }
    }

    /// Waits for the end of the work and passes on its panic.
    pub(crate) fn join(self) -> T {
        match self {
            Self::Thread(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Self::Task(task) => match runtime().block_on(task) {
                Ok(result) => result,
                Err(error) => resume_unwind(error.into_panic()),
            },
        }
    }
}

/// Waits for `time` without blocking a thread of the executor.
pub(crate) async fn pause(mode: Mode, time: Duration) {
    match mode {
        Mode::Sync => thread::sleep(time),
        Mode::Async | Mode::Straight => tokio::time::sleep(time).await,
    }
}
