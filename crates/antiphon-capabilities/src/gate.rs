//! The budgets that all instances of a module share: host calls in a second, and at the same time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use antiphon::{Bytes, HostCall, HostCallError, HostHandler, HostHandlerAsync, async_trait};

use crate::{Code, Fault};

/// Answers the host calls of a capability. It may wait.
#[async_trait]
pub(crate) trait Serve: Send + Sync + 'static {
    async fn serve(&self, call: HostCall<'_>) -> Result<Bytes, Fault>;
}

/// Answers the host calls of a capability without ever waiting.
pub(crate) trait ServeAtOnce: Send + Sync + 'static {
    fn serve(&self, call: HostCall<'_>) -> Result<Bytes, Fault>;
}

/// What admits host calls of one grant.
#[derive(Debug)]
pub(crate) struct Gate {
    capability: &'static str,
    rate: Option<Rate>,
    most_at_once: Option<u32>,
    at_once: AtomicU32,
}

impl Gate {
    pub(crate) fn new(capability: &'static str, per_second: Option<u32>, most_at_once: Option<u32>) -> Self {
        Self { capability, rate: per_second.map(Rate::new), most_at_once, at_once: AtomicU32::new(0) }
    }

    /// Admits a host call until the pass is dropped.
    fn enter(&self) -> Result<Pass<'_>, Fault> {
        let at_once = self.at_once.fetch_add(1, Ordering::Relaxed);
        let pass = Pass(self);
        let refused = |limit: u32, what: &str, key: &str| {
            let capability = self.capability;
            let text =
                format!("the {capability} grant of this module allows {limit} host calls {what} ({key})");
            Err(Fault::new(Code::Budget, text))
        };
        if let Some(limit) = self.most_at_once.filter(|limit| at_once >= *limit) {
            return refused(limit, "at the same time", "max_concurrent");
        }
        if let Some(rate) = self.rate.as_ref().filter(|rate| !rate.admits(Instant::now())) {
            return refused(rate.per_second, "a second", "max_calls_per_second");
        }
        Ok(pass)
    }
}

struct Pass<'a>(&'a Gate);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Admits so many a second on average, and after a pause as many at once.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: u32,
    /// When all that was admitted would be through, had it come evenly.
    through: Mutex<Option<Instant>>,
}

impl Rate {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second, through: Mutex::new(None) }
    }

    pub(crate) fn admits(&self, now: Instant) -> bool {
        let Some(each) = Duration::from_secs(1).checked_div(self.per_second) else { return false };
        let mut through = self.through.lock().unwrap_or_else(PoisonError::into_inner);
        let next = through.map_or(now, |through| through.max(now)) + each;
        let admitted = next.saturating_duration_since(now) <= Duration::from_secs(1);
        if admitted {
            *through = Some(next);
        }
        admitted
    }
}

/// A capability behind its gate, as a handler.
pub(crate) struct Gated<S>(pub(crate) Gate, pub(crate) S);

#[async_trait]
impl<S: Serve> HostHandlerAsync for Gated<S> {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let Self(gate, served) = self;
        let _pass = gate.enter()?;
        Ok(served.serve(call).await?)
    }
}

/// A capability that never waits, as a handler. What never waits needs no gate.
pub(crate) struct AtOnce<S>(pub(crate) S);

impl<S: ServeAtOnce> HostHandler for AtOnce<S> {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        Ok(self.0.serve(call)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_admits_a_second_of_calls_at_once_and_then_one_after_the_other() {
        let (rate, start) = (Rate::new(10), Instant::now());
        assert_eq!((0..20).filter(|_| rate.admits(start)).count(), 10);
        let later = |millis| start + Duration::from_millis(millis);
        assert!(!rate.admits(later(99)));
        assert!(rate.admits(later(100)));
        assert!(!rate.admits(later(100)));
        // After a pause no more than a second's worth.
        assert_eq!((0..50).filter(|_| rate.admits(later(60_000))).count(), 10);
        assert!(!Rate::new(0).admits(start));
    }

    #[test]
    fn places_are_given_back() {
        let gate = Gate::new("http", None, Some(2));
        let first = gate.enter().unwrap();
        let second = gate.enter().unwrap();
        let text = gate.enter().err().unwrap().to_string();
        let expected =
            "budget: the http grant of this module allows 2 host calls at the same time (max_concurrent)";
        assert_eq!(text, expected);
        drop(first);
        drop(gate.enter().unwrap());
        drop(second);
        assert_eq!(gate.at_once.load(Ordering::Relaxed), 0);
    }
}
