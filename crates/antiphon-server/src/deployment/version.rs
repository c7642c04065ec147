//! One version of a module: a pool of its instances.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use antiphon::Context;
use antiphon::errors::{ErrorKind, Fault, Phase};
use antiphon_capabilities as capabilities;
use antiphon_pool::HostPool;
use http::HeaderValue;
use tokio::sync::Notify;

use super::rule::Count;
use super::status::Stats;
use crate::call::CallInfo;
use crate::desired::{Digest, Id};
use crate::meters::Served;
use crate::settings::Settings;

/// One version of a module: a pool of its instances.
///
/// A version is dropped after its last call: the pool is drained only when nothing but the server
/// itself holds the version, so a call that has picked it is never refused because of a switch.
#[non_exhaustive]
pub struct Version {
    /// The digest of the module's bytes.
    pub digest: Digest,
    /// The module and the digest, as `pricing@sha256:...`. It is a header's value, so that an
    /// answer copies nothing.
    pub label: HeaderValue,
    /// What it runs with.
    pub settings: Arc<Settings>,
    /// What runs its calls.
    pub pool: HostPool,
    pub(crate) id: Id,
    /// What its calls count.
    pub(crate) served: Served,
    pub(crate) module: Arc<str>,
    /// The longest time of a call.
    pub(crate) deadline: Duration,
    /// Whether its guests can reach a handler, which reads a call's context.
    pub(crate) has_handler: bool,
    /// The module's own values, if it has some.
    pub(crate) values: Option<Arc<BTreeMap<String, String>>>,
    /// Errors whose fault is the guest's or the engine's.
    pub(crate) faults: AtomicU64,
    /// The text of the last start that failed for a caller.
    pub(crate) failure: Mutex<Option<Box<str>>>,
    /// Rung when a start fails for a caller.
    pub(crate) alarm: Arc<Notify>,
}

impl Version {
    /// Returns what handlers of a call see: what came with the call, and the module's own values,
    /// which stand before those of the caller.
    pub(crate) fn context(&self, mut info: CallInfo, operation: &str) -> Context {
        if let Some(own) = &self.values {
            let values = info.values.get_or_insert_with(|| Arc::clone(own));
            if !Arc::ptr_eq(values, own) {
                let own = own.iter().map(|(name, value)| (name.clone(), value.clone()));
                Arc::make_mut(values).extend(own);
            }
        }
        let trace = match info.trace.trace_id {
            0 => Arc::default(),
            id => format!("{id:032x}").into(),
        };
        let of_capabilities = capabilities::CallInfo::new(Arc::clone(&self.module), operation).trace(trace);
        Context::new().with(capabilities::Depth(info.depth)).with(of_capabilities).with(info)
    }

    /// Notes that a call has failed.
    #[cold]
    pub(crate) fn failed(&self, error: &antiphon::Error) {
        if is_fault(error) {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
        if error.kind() == ErrorKind::InitFailed {
            *self.failure() = Some(error.message().into());
            self.alarm.notify_one();
        }
    }

    fn failure(&self) -> MutexGuard<'_, Option<Box<str>>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the text of the last start that failed for a caller.
    pub(crate) fn last_failure(&self) -> Option<Box<str>> {
        self.failure().clone()
    }

    /// Returns what the rule for canaries counts.
    pub(crate) fn count(&self) -> Count {
        Count { calls: self.pool.stats().calls, faults: self.faults.load(Ordering::Relaxed) }
    }

    /// Returns what the version did and does.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let pool = self.pool.stats();
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Stats {
            calls: pool.calls,
            errors: pool.errors.iter().map(|(kind, count)| (kind.code(), *count)).collect(),
            faults: self.faults.load(Ordering::Relaxed),
            dropped: pool.dropped,
            idle: pool.idle,
            busy: pool.busy,
            starting: pool.starting,
            max: pool.max,
            queued: pool.queued,
            rebuilds: pool.rebuilds,
            failed_starts: pool.failed_starts,
            wait_p50_us: micros(pool.wait.quantile(0.5)),
            wait_p99_us: micros(pool.wait.quantile(0.99)),
            run_p50_us: micros(pool.run.quantile(0.5)),
            run_p99_us: micros(pool.run.quantile(0.99)),
        }
    }
}

/// Returns whether an error speaks against the version: its fault is the guest's or the engine's,
/// and not the caller's or the machine's.
fn is_fault(error: &antiphon::Error) -> bool {
    match error.kind() {
        // A slow guest is to blame in its own code and in what it asks of its host.
        ErrorKind::DeadlineExceeded => matches!(error.phase(), Some(Phase::Guest | Phase::HostCall)),
        ErrorKind::HostPanicked => true,
        _ => matches!(error.fault(), Fault::Guest | Fault::Engine),
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version").field("label", &self.label).finish_non_exhaustive()
    }
}
