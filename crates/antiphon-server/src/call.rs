//! The path of a call: what every transport hands over, and what it gets back.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use antiphon::{Caller, Context, Error, ErrorKind, Exceeded, Request, Usage};
use bytes::Bytes;

use crate::deployment::{Modules, Version};
use crate::feed::InTrace;

/// A call as a transport hands it over.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// The name of the module.
    pub module: &'a str,
    /// The operation of the guest.
    pub operation: &'a str,
    /// The bytes for the guest.
    pub payload: Bytes,
    /// The time that the caller has left. The module's limit caps it.
    pub timeout: Option<Duration>,
    /// What travels with the call through guests and servers.
    pub info: CallInfo,
    /// A hash that ties calls together: calls with one hash reach one version during a canary.
    pub sticky: Option<u64>,
    /// The digest of the version to call, instead of the one that the shares would pick.
    pub version: Option<&'a str>,
    /// The call on whose behalf a guest calls another module.
    pub caller: Option<Caller>,
}

/// What travels with a call: host calls see it, and calls of other modules inherit it.
#[derive(Clone, Debug, Default)]
pub struct CallInfo {
    /// The trace that the call belongs to.
    pub trace: Trace,
    /// How many guests called each other to make this call; 0 for a call from outside.
    pub depth: u32,
    /// The caller's own values.
    pub values: Option<Arc<BTreeMap<String, String>>>,
}

/// A position in a trace, as in W3C Trace Context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The number of the trace; 0 for none.
    pub trace_id: u128,
    /// The number of the span that made the call; 0 for none.
    pub parent_id: u64,
    /// Whether the caller records the trace.
    pub sampled: bool,
    /// The header `tracestate`, as it came.
    pub state: Option<Arc<str>>,
}

/// What came of a call.
#[derive(Debug)]
pub struct Outcome {
    /// The guest's answer, or what went wrong.
    pub result: Result<Vec<u8>, Failure>,
    /// The version that was picked, if it came that far.
    pub version: Option<Arc<Version>>,
    /// Where the time went.
    pub timing: Timing,
}

/// Where the time of a call went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// Time before the guest ran.
    pub queue: Duration,
    /// Time in the guest's code and its host calls.
    pub guest: Duration,
}

/// Why a call has no answer.
#[derive(Debug)]
pub enum Failure {
    /// No module has this name.
    UnknownModule,
    /// The module has no version that can serve. The text names the reason.
    NoVersion(Arc<str>),
    /// The named version is not one of the module's.
    UnknownVersion,
    /// The pool or the guest failed.
    Call(Error),
}

impl Incoming<'_> {
    /// Returns what ties the call to others during a canary: what its caller says, or its trace.
    #[inline]
    pub(crate) fn stickiness(&self) -> Option<u64> {
        let trace = self.info.trace.trace_id;
        #[expect(clippy::cast_possible_truncation, reason = "any 64 bits of a trace's number will do")]
        let of_trace = || (trace != 0).then_some((trace ^ trace >> 64) as u64);
        self.sticky.or_else(of_trace)
    }

    /// Makes a call of another module that a guest asks for in a host call: on behalf of the
    /// guest's own call, in its trace, and one deeper. `from` is that call: its context, and what
    /// its handler makes calls with. The payload and the names are what the guest wrote.
    #[must_use]
    pub fn of_guest<'a>(
        from: (&Context, Caller),
        (module, operation): (&'a str, &'a str),
        payload: Bytes,
    ) -> Incoming<'a> {
        let (context, caller) = from;
        let mut info = context.get::<CallInfo>().cloned().unwrap_or_default();
        info.depth = info.depth.saturating_add(1);
        let caller = Some(caller);
        // The deadline of the caller bounds this call too.
        Incoming { module, operation, payload, timeout: None, info, sticky: None, version: None, caller }
    }
}

/// Runs a call from its arrival to its outcome.
///
/// # Cancel safety
/// The future may be dropped at any await. A guest that runs is ended.
pub async fn call(modules: &Modules, incoming: Incoming<'_>) -> Outcome {
    let version = match modules.pick(&incoming) {
        Ok(version) => version,
        Err(failure) => {
            return Outcome { result: Err(failure), version: None, timing: Timing::default() };
        }
    };
    let Incoming { operation, payload, timeout, info, caller, .. } = incoming;
    if info.depth > MAX_DEPTH {
        return too_deep(version, info.depth);
    }
    let trace = info.trace.trace_id;
    let mut request = Request::new(operation, payload).usage(true);
    if let Some(timeout) = timeout {
        request = request.deadline(timeout.min(version.deadline));
    }
    if let Some(caller) = caller {
        request = request.caller(caller);
    }
    if version.has_handler {
        request = request.context(version.context(info, operation));
    }
    let result = {
        let mut running = pin!(version.pool.call_with(request));
        poll_fn(|cx| {
            let _in_trace = InTrace::enter(trace);
            running.as_mut().poll(cx)
        })
        .await
    };
    match result {
        Ok(response) => {
            let timing = response.usage.as_ref().map(Timing::of).unwrap_or_default();
            Outcome { result: Ok(response.payload), version: Some(version), timing }
        }
        Err(error) => {
            version.failed(&error);
            let timing = error.usage().map(Timing::of).unwrap_or_default();
            Outcome { result: Err(Failure::Call(error)), version: Some(version), timing }
        }
    }
}

/// How deep guests may call each other, over any number of servers: as deep as in one process.
const MAX_DEPTH: u32 = 8;
const _: () = assert!(MAX_DEPTH as usize == Caller::MAX_DEPTH);

#[cold]
fn too_deep(version: Arc<Version>, depth: u32) -> Outcome {
    let what =
        format!("{depth} calls would wait for this one, one inside the other: at most {MAX_DEPTH} may");
    let exceeded = Exceeded::new("depth", MAX_DEPTH.into(), depth.into(), "calls");
    let error = Error::new(ErrorKind::Reentrancy, what).with_exceeded(exceeded).keeping_instance();
    Outcome { result: Err(Failure::Call(error)), version: Some(version), timing: Timing::default() }
}

impl Timing {
    #[inline]
    fn of(usage: &Usage) -> Self {
        let guest = usage.guest_time.saturating_add(usage.host_time);
        Self { queue: usage.queue_time, guest }
    }
}
