//! Callers at once, in either mode.

use std::future::Future;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use antiphon::block_on;

use super::Mode;
use crate::support::runtime;

/// Work that runs beside others: on a thread of its own, or as a task on the runtime.
pub(crate) enum Job<T> {
    Thread(thread::JoinHandle<T>),
    Task(tokio::task::JoinHandle<T>),
}

impl<T: Send + 'static> Job<T> {
    /// Starts it. In the synchronous mode its awaits block, so that each of them needs its thread.
    pub(crate) fn start(mode: Mode, work: impl Future<Output = T> + Send + 'static) -> Self {
        match mode {
            Mode::Sync => Self::Thread(thread::spawn(move || block_on(work))),
            Mode::Async | Mode::Straight => Self::Task(runtime().spawn(work)),
        }
    }

    /// Waits for its end; a panic goes on here.
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

/// Lets time pass, without keeping an executor's thread from its work.
pub(crate) async fn pause(mode: Mode, time: Duration) {
    match mode {
        Mode::Sync => thread::sleep(time),
        Mode::Async | Mode::Straight => tokio::time::sleep(time).await,
    }
}
