//! A guest call in progress: the protocol's conversation, and what a host adds to it.
//!
//! The protocol's conversation is pure. This one wraps it with what a pure state machine must not
//! know: the handler, the clock, the log. Engines see only this one. The engine's store owns it for
//! the time of a call, so imports take no lock.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_protocol::{self as protocol, Begin, HostCallRequest, Limits, Outcome, Payload, Violation};

use crate::deadline::Deadline;
use crate::errors::{BoxError, Error, ErrorKind, Fate, Fault, Phase, Result};
#[cfg(feature = "async")]
use crate::handler::Begun;
use crate::handler::{Answer, Handler, HostCall, Run};
use crate::isolation::Isolation;
use crate::ledger::Ledger;
use crate::log::{LogLine, LogSink, LogStream};
use crate::terms::Terms;
use crate::usage::{FuelUse, Meter, Traffic, Usage};
use crate::{handler, log, reentrancy, sink, source, ticker};

/// What all conversations of a host share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) id: u64,
    pub(crate) handler: Handler,
    pub(crate) limits: Arc<Limits>,
    pub(crate) isolation: Isolation,
    pub(crate) log: Option<LogSink>,
    pub(crate) host_calls_in_init: bool,
    /// The terms that hold for each call, whatever its request says.
    pub(crate) standing: Terms,
}

/// One guest call in progress, or the start of an instance, as an engine sees it.
///
/// An engine keeps it in its store's data while guest code runs. Each waPC import is one method of
/// the same name, which takes the guest's memory and the import's arguments as they are; every
/// check is made here. An `Err` ends the guest call: the engine returns it from the import, and
/// hands it, boxed, to the host.
///
/// A conversation in which no call runs answers every import harmlessly.
pub struct Conversation {
    protocol: protocol::Conversation,
    shared: Arc<Shared>,
    terms: Terms,
    /// What handlers note about the call. It also says whether any field below is set, or more than
    /// a deadline in the terms: most calls need only this one look.
    ledger: Ledger,
    meter: Option<Box<Meter>>,
    /// Whether the answer is read in place instead of kept.
    in_place: bool,
    /// An error that an engine which knows only `ModuleState` could not report itself.
    failure: Option<Error>,
}

impl Conversation {
    pub(crate) fn idle(shared: Arc<Shared>) -> Self {
        Self {
            protocol: protocol::Conversation::new(Arc::clone(&shared.limits)),
            terms: shared.standing.clone(),
            shared,
            ledger: Ledger::default(),
            meter: None,
            in_place: false,
            failure: None,
        }
    }

    /// Returns another conversation of this host, in which nothing runs.
    #[must_use]
    pub fn spare(&self) -> Box<Self> {
        Box::new(Self::idle(Arc::clone(&self.shared)))
    }

    // The imports.

    /// Serves the import `__guest_request`.
    ///
    /// # Errors
    /// The guest points outside its memory.
    #[inline]
    pub fn guest_request(&self, memory: &mut [u8], op_ptr: i32, msg_ptr: i32) -> Result<()> {
        if self.protocol.is_in_place() {
            return source::with_payload(|payload| {
                Ok(self.protocol.guest_request_from(memory, op_ptr, msg_ptr, payload)?)
            });
        }
        Ok(self.protocol.guest_request(memory, op_ptr, msg_ptr)?)
    }

    /// Serves the import `__guest_response`.
    ///
    /// # Errors
    /// The answer is outside the guest's memory or over its limit, or the closure that reads it in
    /// place panicked.
    #[inline]
    pub fn guest_response(&mut self, memory: &[u8], ptr: i32, len: i32) -> Result<()> {
        if self.in_place {
            let answer = self.protocol.guest_response_in_place(memory, ptr, len)?;
            return sink::give(self.shared.id, answer);
        }
        Ok(self.protocol.guest_response(memory, ptr, len)?)
    }

    /// Serves the import `__guest_error`.
    ///
    /// # Errors
    /// The text is outside the guest's memory.
    pub fn guest_error(&mut self, memory: &[u8], ptr: i32, len: i32) -> Result<()> {
        Ok(self.protocol.guest_error(memory, ptr, len)?)
    }

    /// Serves the import `__console_log`.
    ///
    /// # Errors
    /// The line is outside the guest's memory, or the log's sink panicked.
    pub fn console_log(&mut self, memory: &[u8], ptr: i32, len: i32) -> Result<()> {
        let line = self.protocol.console_log(memory, ptr, len)?;
        self.emit(LogStream::Console, line.as_deref())
    }

    /// Logs a line that did not come by `__console_log`, such as WASI's standard output.
    ///
    /// # Errors
    /// The log's sink panicked.
    pub fn log(&mut self, stream: LogStream, line: &[u8]) -> Result<()> {
        let line = self.protocol.log_line(line);
        self.emit(stream, line.as_deref())
    }

    /// Serves the import `__host_call` where the guest cannot suspend.
    ///
    /// # Errors
    /// The guest passed a wild pointer or has spent a budget, the handler panicked, or the deadline
    /// passed.
    #[inline]
    pub fn host_call(&mut self, memory: &[u8], args: [i32; 8]) -> Result<i32> {
        match self.protocol.begin_host_call(memory, args)? {
            Begin::Refused => Ok(0),
            Begin::Run(request) => {
                let started = self.host_call_starts(request);
                let run = Run::default();
                let call = HostCall::new(request, self.shared.id, (&self.terms, &self.ledger, &run));
                let answer = self.shared.handler.run(call);
                self.host_call_ends(started, answer)
            }
        }
    }

    /// Serves the import `__host_call` where the guest can suspend. It ends at the call's deadline,
    /// whatever the handler does.
    ///
    /// # Errors
    /// Those of [`host_call`](Self::host_call).
    ///
    /// # Cancel safety
    /// Dropping the future drops the handler's future. The instance has to be discarded with it.
    #[cfg(feature = "async")]
    pub async fn host_call_async(&mut self, memory: &[u8], args: [i32; 8]) -> Result<i32> {
        match self.protocol.begin_host_call(memory, args)? {
            Begin::Refused => Ok(0),
            Begin::Run(request) => {
                let started = self.host_call_starts(request);
                let (run, host) = (Run::default(), self.shared.id);
                let call = HostCall::new(request, host, (&self.terms, &self.ledger, &run));
                let answer = match self.shared.handler.begin(call) {
                    Begun::Ended(answer) => answer,
                    Begun::Waits(future) => handler::answer(future, host, &self.terms).await,
                };
                self.host_call_ends(started, answer)
            }
        }
    }

    /// Serves the import `__host_response_len`.
    #[must_use]
    #[inline]
    pub fn host_response_len(&self) -> i32 {
        self.protocol.host_response_len()
    }

    /// Serves the import `__host_response`.
    ///
    /// # Errors
    /// The guest points outside its memory.
    #[inline]
    pub fn host_response(&self, memory: &mut [u8], ptr: i32) -> Result<()> {
        Ok(self.protocol.host_response(memory, ptr)?)
    }

    /// Serves the import `__host_error_len`.
    #[must_use]
    pub fn host_error_len(&self) -> i32 {
        self.protocol.host_error_len()
    }

    /// Serves the import `__host_error`.
    ///
    /// # Errors
    /// The guest points outside its memory.
    pub fn host_error(&self, memory: &mut [u8], ptr: i32) -> Result<()> {
        Ok(self.protocol.host_error(memory, ptr)?)
    }

    /// Serves the import `env.abort`: returns the error that ends the guest call.
    #[must_use]
    pub fn abort(&mut self, memory: &[u8], args: [i32; 4]) -> Error {
        Error::new(ErrorKind::Trapped, format!("abort: {}", self.protocol.abort(memory, args)))
    }

    // Questions of engines.

    /// Returns the arguments of `__guest_call`: the lengths of the operation and of the payload, in
    /// bytes.
    #[must_use]
    #[inline]
    pub fn lengths(&self) -> (i32, i32) {
        self.protocol.lengths()
    }

    /// Returns the limits in force: the stricter of the host's and the provider's.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Returns whether this call has a deadline, which an engine without interruption cannot keep.
    #[must_use]
    pub fn has_deadline(&self) -> bool {
        self.terms.deadline.tick != ticker::NEVER
    }

    /// Returns whether a host call of this conversation may have to be awaited.
    #[must_use]
    #[inline]
    pub fn can_suspend(&self) -> bool {
        self.shared.handler.can_suspend()
    }

    /// Checks whether guest code may run on: its deadline has not passed, and the call has not been
    /// cancelled. An engine asks at each tick.
    ///
    /// # Errors
    /// The reason to end the guest call.
    #[inline]
    pub fn check(&self) -> Result<()> {
        match self.terms.interrupt() {
            None => Ok(()),
            Some(interrupt) => Err(self.terms.error(interrupt, Phase::Guest)),
        }
    }

    /// Waits on behalf of the guest (WASI's `poll_oneoff`), at most until the call's deadline, in
    /// steps of a tick.
    ///
    /// # Errors
    /// The deadline passed, or the call was cancelled.
    pub async fn sleep(&self, duration: Duration) -> Result<()> {
        crate::wait::until(&self.terms, crate::wait::sleep(duration))
            .await
            .map_err(|interrupt| self.terms.error(interrupt, Phase::Guest))
    }

    /// Waits like [`sleep`](Self::sleep) on this thread, for an engine that cannot suspend the
    /// guest.
    ///
    /// # Errors
    /// The deadline passed, or the call was cancelled.
    pub fn sleep_blocking(&self, duration: Duration) -> Result<()> {
        crate::wait::block_on(self.sleep(duration))
    }

    /// Returns a watch over the deadline and the cancel handle of this conversation, for waits that
    /// an engine makes outside it.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.terms.clone())
    }

    /// Returns whether the caller wants to know what the call used.
    #[must_use]
    #[inline]
    pub fn is_metered(&self) -> bool {
        self.meter.is_some()
    }

    /// Returns the fuel of this call: the stricter of `limit`, the engine's own, and of what the
    /// request asked for.
    #[must_use]
    #[inline]
    pub fn fuel_within(&self, limit: u64) -> u64 {
        if self.ledger.is_marked() { self.terms.fuel().map_or(limit, |fuel| fuel.min(limit)) } else { limit }
    }

    /// Records the size of the guest's memory, in bytes, and the fuel of the call where it is
    /// counted.
    pub fn record_use(&mut self, memory: u64, fuel: Option<FuelUse>) {
        if let Some(meter) = &mut self.meter {
            meter.memory_peak = memory;
            meter.fuel = fuel;
        }
    }

    // Commands of hosts.

    /// Begins a call that was given its terms.
    #[inline(always)]
    pub(crate) fn begin_call(&mut self, operation: &str, payload: Payload<'_>) -> Result<()> {
        let begun = self.protocol.begin_call(operation, payload);
        self.begun(begun)
    }

    /// Begins a call that was given its terms, within a [`source`] of its payload.
    #[inline]
    pub(crate) fn begin_call_in_place(&mut self, operation: &str, payload: &[u8]) -> Result<()> {
        let begun = self.protocol.begin_call_in_place(operation, payload);
        self.begun(begun)
    }

    #[inline(always)]
    fn begun(&mut self, begun: Result<(), Violation>) -> Result<()> {
        begun.map_err(|violation| self.refuse(violation))
    }

    /// Copies a payload that was read in place so far, because the guest goes on where its caller's
    /// borrow does not reach.
    pub(crate) fn keep_payload(&mut self, payload: &[u8]) {
        self.protocol.keep_payload(payload);
    }

    #[cold]
    fn refuse(&mut self, violation: Violation) -> Error {
        self.release();
        Error::from(violation).with_fate(Fault::Caller, Fate::Kept)
    }

    /// Sets the terms of a call, whatever they are.
    pub(crate) fn set_terms(&mut self, terms: Terms, meter: Option<Box<Meter>>) {
        self.tidy();
        self.terms = terms;
        self.meter = meter;
        if let Some(meter) = &mut self.meter {
            meter.enter();
        }
        self.ledger.mark();
    }

    /// Sets the terms of a call that has only its host's deadline, counted from `now`. Calls that
    /// begin in the same tick have the same deadline, so the next one finds it set.
    #[inline]
    pub(crate) fn set_deadline(&mut self, now: u64, deadline: impl FnOnce() -> Deadline) {
        if self.ledger.is_marked() {
            self.tidy();
        }
        if !self.terms.deadline.began_at(now) {
            self.terms.deadline = deadline();
        }
    }

    #[inline]
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Lends what handlers noted to a host call that runs beside the conversation. The host call
    /// gives it back when it ends.
    pub(crate) fn lend_ledger(&mut self) -> Ledger {
        self.ledger.lend()
    }

    pub(crate) fn return_ledger(&mut self, ledger: Ledger) {
        self.ledger.take_back(ledger);
    }

    pub(crate) fn answer_in_place(&mut self) {
        self.in_place = true;
        self.ledger.mark();
    }

    pub(crate) fn begin_init(&mut self, terms: Terms) {
        self.set_terms(terms, None);
        self.protocol.begin_init(self.shared.host_calls_in_init);
    }

    pub(crate) fn end_init(&mut self) {
        self.report_dropped_log();
        self.protocol.end_init();
        self.tidy();
    }

    /// Ends a call whose `__guest_call` returned, and which left nothing to release.
    #[inline]
    pub(crate) fn end_tidy_call(&mut self, code: i32) -> Result<()> {
        outcome(self.protocol.end_call(code))
    }

    /// Returns whether neither the guest nor a handler left anything behind: the one look that most
    /// calls need when they end.
    #[inline]
    pub(crate) fn is_tidy(&self) -> bool {
        !self.ledger.is_marked() && self.protocol.is_tidy()
    }

    /// Ends a call whose `__guest_call` returned.
    pub(crate) fn end_call(&mut self, code: i32) -> Result<()> {
        self.report_dropped_log();
        match self.failure.take() {
            Some(failure) => Err(failure.with_guest_error(self.protocol.abandon_call())),
            None => outcome(self.protocol.end_call(code)),
        }
    }

    /// Ends a call whose `__guest_call` did not return, with the error that the engine returned
    /// instead.
    pub(crate) fn abandon_call(&mut self, error: BoxError) -> Error {
        self.report_dropped_log();
        let error = self.failure.take().unwrap_or_else(|| Error::from_engine(error));
        error.with_guest_error(self.protocol.abandon_call())
    }

    /// Drops what the call's caller brought: owned payloads, contexts and answers of host calls,
    /// which may hold permits and connections. An idle host must not keep them alive, and the
    /// caller of the next call must not have to drop them.
    #[inline]
    pub(crate) fn release(&mut self) {
        if !self.is_tidy() {
            self.release_what_was_left();
        }
    }

    #[inline(never)]
    fn release_what_was_left(&mut self) {
        if self.ledger.is_marked() {
            self.tidy();
        }
        self.protocol.release();
    }

    #[inline(never)]
    fn tidy(&mut self) {
        self.terms.release(&self.shared.standing);
        self.meter = None;
        self.in_place = false;
        self.failure = None;
        self.ledger.clear();
    }

    #[inline]
    pub(crate) fn swap_response(&mut self, buffer: &mut Vec<u8>) {
        self.protocol.swap_response(buffer);
    }

    pub(crate) fn drop_response(&mut self) {
        drop(self.protocol.take_response());
    }

    #[inline]
    pub(crate) fn usage(&mut self, response_bytes: usize) -> Option<Usage> {
        if self.meter.is_none() { None } else { self.measured(response_bytes) }
    }

    #[cold]
    fn measured(&mut self, response_bytes: usize) -> Option<Usage> {
        let meter = self.meter.take()?;
        Some(meter.finish(Traffic {
            host_calls: self.protocol.host_calls(),
            request_bytes: u64::from(self.protocol.lengths().1.cast_unsigned()),
            response_bytes: response_bytes.try_into().unwrap_or(u64::MAX),
            log_dropped: self.protocol.log_dropped(),
        }))
    }

    // For engines that know only `ModuleState`.

    /// Keeps a response that the engine has read, or gives it to the closure that reads it in
    /// place.
    pub(crate) fn set_response(&mut self, response: Vec<u8>) -> Result<()> {
        self.protocol.set_response(response)?;
        if !self.in_place {
            return Ok(());
        }
        sink::give(self.shared.id, self.protocol.response().unwrap_or_default())
    }

    pub(crate) fn protocol(&mut self) -> &mut protocol::Conversation {
        &mut self.protocol
    }

    /// Keeps an error that the engine has no way to return. The first one counts, and it wins over
    /// what the provider returns: a foreign provider may turn every error into a 0, as those of
    /// `wapc` do.
    pub(crate) fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.ledger.mark();
    }

    #[inline]
    pub(crate) fn host_call_starts(&mut self, request: HostCallRequest<'_>) -> Option<Instant> {
        let meter = self.meter.as_mut()?;
        meter.host_bytes_out += u64::try_from(request.payload.len()).unwrap_or(u64::MAX);
        Some(Instant::now())
    }

    #[inline]
    pub(crate) fn host_call_ends(&mut self, started: Option<Instant>, answer: Answer) -> Result<i32> {
        if let (Some(meter), Some(started)) = (&mut self.meter, started) {
            meter.add_host_time(started.elapsed());
            if let Ok(Ok(bytes)) = &answer {
                meter.host_bytes_in += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            }
        }
        let answer = answer?;
        if let Some(interrupt) = self.terms.interrupt() {
            return Err(self.terms.error(interrupt, Phase::HostCall));
        }
        Ok(self.protocol.finish_host_call(answer)?)
    }

    fn emit(&self, stream: LogStream, text: Option<&str>) -> Result<()> {
        let Some(text) = text else { return Ok(()) };
        let line = LogLine { host_id: self.shared.id, operation: self.protocol.operation(), stream, text };
        let _running = reentrancy::enter(self.shared.id);
        catch_unwind(AssertUnwindSafe(|| log::emit(self.shared.log.as_ref(), line)))
            .map_err(handler::panicked)
    }

    #[cold]
    pub(crate) fn report_dropped_log(&self) {
        let (host, dropped) = (self.shared.id, self.protocol.log_dropped());
        if dropped == 0 {
            return;
        }
        let operation = self.protocol.operation();
        tracing::warn!(target: "antiphon::guest", host, operation, dropped, "log lines over the call's budget dropped");
    }
}

/// Watches the deadline and the cancel handle of a conversation: see [`Conversation::watch`].
#[derive(Clone, Debug)]
pub struct Watch(Terms);

impl Watch {
    /// Runs a future to its end, or until the conversation's time is over.
    ///
    /// # Errors
    /// The deadline passed, or the call was cancelled; the future is dropped then.
    pub async fn over<F: Future>(&self, future: F) -> Result<F::Output> {
        crate::wait::until(&self.0, future).await.map_err(|interrupt| self.0.error(interrupt, Phase::Guest))
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("host", &self.shared.id)
            .field("operation", &self.protocol.operation())
            .finish_non_exhaustive()
    }
}

#[inline]
fn outcome(outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Answered => Ok(()),
        Outcome::Failed(text) => Err(failed(text)),
        Outcome::Misbehaved => Err(misbehaved()),
    }
}

#[cold]
fn failed(text: Option<String>) -> Error {
    let message = text.clone().unwrap_or_else(|| "No error message set for call failure".to_owned());
    Error::new(ErrorKind::GuestFailed, message).with_guest_error(text)
}

#[cold]
fn misbehaved() -> Error {
    Error::new(ErrorKind::GuestMisbehaved, "No error message OR response set for call success")
}
