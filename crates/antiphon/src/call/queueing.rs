//! A request that waits for something before a host gets it. Its time counts from that wait on.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::request::Begun;
use super::{Interrupt, Link, Request, Terms, reentrancy, until};
use crate::errors::{Exceeded, Phase, Result};
use crate::time::{Deadline, ticker};

/// For code that makes requests wait before it calls a host with them, such as a pool or a
/// scheduler.
impl Request<'_> {
    /// Starts the request's time. Its deadline and [`Usage::queue_time`](crate::Usage::queue_time)
    /// count from now. `limit` is the time of a request that set none. Only the first call has an
    /// effect.
    pub fn begin(&mut self, limit: Duration) {
        let options = self.options();
        if options.begun.is_some() {
            return;
        }
        let mut deadline = match options.deadline {
            Some(limit) => Deadline::of_request(ticker::now(), limit),
            None => Deadline::after(ticker::now(), ticker::ticks(limit), limit),
        };
        if let Some(caller) = &options.caller {
            deadline = deadline.earlier(caller.deadline);
        }
        options.begun = Some(Begun { deadline, at: Instant::now() });
    }

    /// Waits for a future, for as long as the request may wait and for `longest` at most. A request
    /// that has not [begun](Self::begin) has no deadline yet.
    ///
    /// An output that comes too late is dropped: a request whose time is over does not go on.
    ///
    /// # Errors
    /// [`DeadlineExceeded`](crate::errors::ErrorKind::DeadlineExceeded) in [`Phase::Queue`], whose
    /// source and [`exceeded`](crate::errors::Error::exceeded) say how long the request waited, or
    /// [`Cancelled`](crate::errors::ErrorKind::Cancelled). The call never began.
    ///
    /// # Cancel safety
    /// That of the future.
    pub async fn queue<F: Future>(&self, longest: Duration, future: F) -> Result<F::Output> {
        let options = self.options.as_deref();
        let begun = options.and_then(|options| options.begun);
        let deadline = begun.map_or(Deadline::NEVER, |begun| begun.deadline);
        let wait = Deadline::after(ticker::now(), ticker::ticks(longest), longest);
        let terms = Terms::of_waiting(deadline.earlier(wait), options);
        let waited = match until(&terms, future).await {
            Ok(output) => terms.interrupt().map_or(Ok(output), Err),
            Err(interrupt) => Err(interrupt),
        };
        waited.map_err(|interrupt| {
            let error = terms.error(interrupt, Phase::Queue).keeping_instance();
            if interrupt == Interrupt::Deadline && wait.tick < deadline.tick {
                return error.with_exceeded(Exceeded::time("queue_wait", longest, wait.used()));
            }
            error
        })
    }

    /// Refuses a request on behalf of a [`Caller`](crate::Caller) that is nested too deep, before
    /// it waits for anything. A host would refuse it as well.
    ///
    /// # Errors
    /// [`Reentrancy`](crate::errors::ErrorKind::Reentrancy): more hosts than
    /// [`Caller::MAX_DEPTH`](crate::Caller::MAX_DEPTH) wait for the request.
    pub fn check_depth(&self) -> Result<()> {
        match self.options.as_deref().and_then(|options| options.caller.as_ref()) {
            Some(caller) => caller.check_depth(),
            None => Ok(()),
        }
    }

    /// Returns the hosts that wait for this very request, as far as they can be known: those whose
    /// handlers run on this thread, and those of its [`Caller`](crate::Caller).
    pub fn awaiting(&self) -> Awaiting {
        let caller = self.options.as_ref().and_then(|options| options.caller.as_ref());
        Awaiting { here: reentrancy::running(), link: caller.map(|caller| Arc::clone(&caller.link)) }
    }
}

/// The hosts that wait for a request: see [`Request::awaiting`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Awaiting {
    here: Vec<u64>,
    link: Option<Arc<Link>>,
}

impl Awaiting {
    /// Returns whether that host waits for the request: one of its handlers made the request, and
    /// still runs. If the request waited for the host, it would wait for itself.
    #[must_use]
    pub fn includes(&self, host: u64) -> bool {
        self.here.contains(&host) || self.link.as_ref().is_some_and(|link| link.waits(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CancelHandle;
    use crate::errors::{ErrorKind, Fate};
    use std::future::{pending, ready};

    fn queue<T>(request: &Request<'_>, longest: Duration, future: impl Future<Output = T>) -> Result<T> {
        super::super::block_on(request.queue(longest, future))
    }

    #[test]
    fn the_time_of_a_request_counts_from_its_begin_and_once() {
        let mut request = Request::new("op", b"").deadline(Duration::from_millis(20));
        request.begin(Duration::MAX);
        request.begin(Duration::MAX);
        assert_eq!(queue(&request, Duration::MAX, ready(7)).unwrap(), 7);
        let error = queue(&request, Duration::MAX, pending::<()>()).unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::DeadlineExceeded, Some(Phase::Queue)));
        assert_eq!(error.fate(), Fate::Kept);
        let exceeded = error.exceeded().unwrap();
        assert_eq!((exceeded.limit, exceeded.allowed), ("deadline", 20_000));
        assert!(exceeded.used >= 20_000, "{exceeded}");
        // An output that comes when the time is over comes too late.
        assert_eq!(queue(&request, Duration::MAX, ready(7)).unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    }

    #[test]
    fn the_limit_of_the_wait_and_the_handle_end_it_as_well() {
        let mut request = Request::new("op", b"");
        request.begin(Duration::from_secs(60));
        let error = queue(&request, Duration::from_millis(10), pending::<()>()).unwrap_err();
        assert_eq!(error.exceeded().unwrap().limit, "queue_wait");

        let cancel = CancelHandle::new();
        cancel.cancel();
        let mut request = Request::new("op", b"").cancel(cancel);
        request.begin(Duration::from_secs(60));
        let error = queue(&request, Duration::MAX, pending::<()>()).unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::Cancelled, Fate::Kept));
    }
}
