//! A call that is made many times, through a pool.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use antiphon::EngineProviderFactory;
use antiphon::errors::Error;
use antiphon_pool::HostPool;

use crate::args::cli::CallArgs;
use crate::bench::callers::{Book, Call, Callers, Work, processors};
use crate::bench::interrupt::{self, Interrupt};
use crate::bench::latency::Latency;
use crate::failure::Failure;
use crate::run::inputs::Inputs;
use crate::terminal::messages;

/// How long Ctrl-C may go unseen.
const FRAME: Duration = Duration::from_millis(100);

/// Makes the calls, sums up on standard error how long they took, and returns the answer of the last one. Ctrl-C sums up
/// what was made until then, and ends the program.
pub(crate) fn run(
    args: &CallArgs,
    inputs: Inputs,
    factory: Arc<dyn EngineProviderFactory>,
) -> Result<Vec<u8>, Failure> {
    let number = args.concurrency.unwrap_or(1);
    let total = args.repeat.unwrap_or_else(|| u64::try_from(number).unwrap_or(u64::MAX));
    let callers = Callers::new(args.mode, number)?;
    let book = Arc::new(Repeats::new(total)?);
    let made = make(args, inputs, (&callers, factory), &book);
    callers.end();
    let (time, is_interrupted) = *made.as_ref().unwrap_or(&(Duration::ZERO, false));
    let summary = book.latency().summary(time);
    if is_interrupted {
        messages::plain(&format!("interrupted: {summary}"));
        interrupt::end();
    }
    messages::plain(&summary);
    made?;
    book.last()
}

fn make(
    args: &CallArgs,
    inputs: Inputs,
    (callers, factory): (&Callers, Arc<dyn EngineProviderFactory>),
    book: &Arc<Repeats>,
) -> Result<(Duration, bool), Failure> {
    let number = args.concurrency.unwrap_or(1);
    let building = HostPool::builder(factory)
        .max(number.min(processors()))
        .queue(number)
        .isolation(args.guest.isolation.into())
        .limits(inputs.limits)
        .handler_sync(inputs.rules)
        .log(messages::guest);
    let pool = callers.runtime().block_on(building.build())?;
    let work = Arc::new(Work { operation: args.guest.operation.clone(), payload: inputs.payload });
    // Not before: until now there is nothing to sum up.
    let interrupt = Interrupt::expect()?;
    let time = callers.call(&pool, (&work, book), || {
        if interrupt.came() {
            book.stop();
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(FRAME)
    })?;
    Ok((time, interrupt.came()))
}

/// So many calls, up to the first that fails.
struct Repeats {
    total: u64,
    next: AtomicU64,
    latency: Mutex<Latency>,
    /// The answer of the call with the last number, or the first error.
    last: Mutex<Option<Result<Vec<u8>, Error>>>,
}

impl Repeats {
    fn new(total: u64) -> Result<Self, Failure> {
        Ok(Self {
            total,
            next: AtomicU64::new(0),
            latency: Mutex::new(Latency::new()?),
            last: Mutex::default(),
        })
    }

    fn latency(&self) -> MutexGuard<'_, Latency> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> Result<Vec<u8>, Failure> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(last.unwrap_or_else(|| unreachable!("calls are made until the last one, or one fails"))?)
    }
}

impl Book for Repeats {
    fn next(&self) -> Option<u64> {
        // Not above the total: it may be the largest number there is.
        let taken = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |made| {
            (made < self.total).then(|| made.saturating_add(1))
        });
        taken.ok().map(|made| made.saturating_add(1))
    }

    fn ended(&self, call: Call, ended: Result<Vec<u8>, Error>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match ended {
            Ok(answer) => {
                self.latency().record(call.time);
                if call.number == self.total && !matches!(*last, Some(Err(_))) {
                    *last = Some(Ok(answer));
                }
            }
            Err(error) => {
                self.stop();
                if !matches!(*last, Some(Err(_))) {
                    *last = Some(Err(error));
                }
            }
        }
    }

    fn stop(&self) {
        self.next.store(self.total, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon::errors::ErrorKind;

    fn call(number: u64) -> Call {
        Call { number, caller: 0, time: Duration::from_micros(number) }
    }

    #[test]
    fn the_answer_is_that_of_the_last_call_in_whatever_order_they_end() {
        let book = Repeats::new(3).unwrap();
        assert_eq!([book.next(), book.next(), book.next(), book.next()], [Some(1), Some(2), Some(3), None]);
        book.ended(call(3), Ok(vec![3]));
        book.ended(call(1), Ok(vec![1]));
        book.ended(call(2), Ok(vec![2]));
        assert_eq!(book.last().unwrap(), [3]);
    }

    #[test]
    fn the_first_failure_counts_and_ends_it() {
        let book = Repeats::new(u64::MAX).unwrap();
        assert_eq!(book.next(), Some(1));
        book.ended(call(1), Err(Error::new(ErrorKind::Trapped, "first")));
        book.ended(call(2), Err(Error::new(ErrorKind::GuestFailed, "second")));
        book.ended(call(u64::MAX), Ok(vec![]));
        assert_eq!(book.next(), None);
        assert!(matches!(book.last(), Err(Failure::Library(error)) if error.message() == "first"));
    }
}
