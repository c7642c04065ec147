//! An instance that a call holds.
//!
//! A call runs on the thread of its caller: handing it to another thread would cost 53 µs. For that
//! time the call holds an instance, and the instance's `WapcHostAsync` serves this call alone.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Instant;

use antiphon::errors::{Error, Result};
use antiphon::ticker::survive;
use antiphon::{Request, Response, WapcHostAsync};

use crate::instance::Instance;
use crate::queue::Held;
use crate::report::CallSpan;
use crate::shared::Inner;

/// A call that can be made on a host, with or without options.
pub(crate) trait Ask {
    type Answer;

    fn ask(self, host: &WapcHostAsync) -> impl Future<Output = Result<Self::Answer>> + Send;
}

impl Ask for Request<'_> {
    type Answer = Response;

    #[inline]
    fn ask(self, host: &WapcHostAsync) -> impl Future<Output = Result<Response>> + Send {
        host.call_with(self)
    }
}

/// A call without options.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'a> {
    pub(crate) operation: &'a str,
    pub(crate) payload: &'a [u8],
}

impl Ask for Plain<'_> {
    type Answer = Vec<u8>;

    #[inline]
    fn ask(self, host: &WapcHostAsync) -> impl Future<Output = Result<Vec<u8>>> + Send {
        host.call(self.operation, self.payload)
    }
}

/// An instance that a call holds. Dropping the lease returns the instance; if the call is still
/// running in it, the instance is lost.
pub(crate) struct Lease<'a> {
    pool: &'a Inner,
    held: Option<Held<Instance>>,
    /// Whether the call runs at this moment.
    running: bool,
}

impl<'a> Lease<'a> {
    #[inline]
    pub(crate) fn new(pool: &'a Inner, held: Held<Instance>) -> Self {
        Self { pool, held: Some(held), running: false }
    }

    /// Runs a call to its end.
    ///
    /// # Cancel safety
    /// Dropping the future stops the guest first, and gives up its place after that.
    #[inline]
    pub(crate) async fn run<A: Ask>(mut self, span: CallSpan, ask: A) -> Result<A::Answer> {
        self.running = true;
        let started = Instant::now();
        let result = match &self.held {
            None => unreachable!("only the end of the call takes the instance away"),
            Some(Held { place, value: instance }) => {
                span.begin(instance.host.id(), instance.version.number);
                self.pool.queue.occupy(*place, instance.host.id());
                let _busy = self.pool.blueprint.meters.busy();
                let mut call = pin!(ask.ask(&instance.host));
                poll_fn(|cx| {
                    let _entered = span.enter();
                    call.as_mut().poll(cx)
                })
                .await
            }
        };
        span.end(result.as_ref().err());
        self.running = false;
        self.end(started, result.as_ref().err());
        result
    }

    /// Counts the call, and returns the instance unless the call broke it or it has served its last
    /// call.
    #[inline]
    fn end(&mut self, started: Instant, error: Option<&Error>) {
        let Some(Held { place, value: mut instance }) = self.held.take() else { return };
        let ended = Instant::now();
        let run = ended.saturating_duration_since(started);
        instance.counted.count(run, error);
        self.pool.blueprint.meters.ran(run, error);
        instance.calls = instance.calls.saturating_add(1);
        instance.idle_since = ended;
        if instance.calls >= self.pool.settings.recycle
            || error.is_some_and(|error| instance.is_lost_by(error))
        {
            self.pool.lose(place, instance);
        } else {
            self.pool.queue.put(Held { place, value: instance });
        }
    }

    /// Counts the call as dropped by its caller, and drops the instance.
    #[cold]
    fn lose(&self, Held { place, value: instance }: Held<Instance>) {
        instance.counted.count_dropped();
        self.pool.blueprint.meters.dropped();
        self.pool.lose(place, instance);
    }
}

impl Inner {
    /// Drops an instance and then gives up its place: a place is free only when the guest has
    /// stopped. Otherwise more guests could run than the pool allows. A panic of an engine's
    /// destructor is logged and ends here, because a place that is not given up is lost forever.
    fn lose(&self, place: usize, instance: Box<Instance>) {
        survive(|| drop(instance));
        self.queue.give_up(place);
    }
}

impl Drop for Lease<'_> {
    #[inline]
    fn drop(&mut self) {
        match self.held.take() {
            Some(held) if self.running => self.lose(held),
            Some(held) => self.pool.queue.put(held),
            None => {}
        }
    }
}
