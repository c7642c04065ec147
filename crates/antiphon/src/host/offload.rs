//! Runs long work off the executor's threads, without knowing the executor.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;

use crate::errors::{BoxError, Error, Resource};
use crate::survive::{lock, panicked};
use crate::time::Alarm;

/// Runs work on a thread of its own. If the future is dropped, the thread finishes alone.
///
/// It is meant for work of milliseconds and more, such as compiling: a thread costs some tens of
/// microseconds.
///
/// # Errors
/// Those of the work. A panic of the work is
/// [`HostPanicked`](crate::errors::ErrorKind::HostPanicked). If no thread can be started, it is
/// [`OutOfResources`](crate::errors::ErrorKind::OutOfResources).
pub async fn offload<T, F>(work: F) -> Result<T, BoxError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, BoxError> + Send + 'static,
{
    let shared = Arc::new((Mutex::new(None), Alarm::default()));
    let theirs = Arc::clone(&shared);
    thread::Builder::new()
        .name("antiphon-compile".into())
        .spawn(move || {
            let result =
                catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(panic).into()));
            let (slot, alarm) = &*theirs;
            *lock(slot) = Some(result);
            alarm.ring();
        })
        .map_err(|error| {
            let error = Error::out_of_resources(Resource::Threads, "a compilation").with_source(error);
            error.never_born()
        })?;
    poll_fn(move |cx| {
        let (slot, alarm) = &*shared;
        // The waker is set first, so that a result that comes after the look rings it.
        alarm.set(cx.waker());
        match lock(slot).take() {
            Some(result) => Poll::Ready(result),
            None => Poll::Pending,
        }
    })
    .await
}
