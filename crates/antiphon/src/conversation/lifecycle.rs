//! What hosts call: the begin and the end of a call and of a start.

use antiphon_protocol::{Outcome, Payload, Violation};

use super::Conversation;
use crate::call::{Meter, Terms, Traffic};
use crate::errors::{BoxError, Error, ErrorKind, Fate, Fault, Result};
use crate::handler::Ledger;
use crate::time::Deadline;
use crate::usage::Usage;

impl Conversation {
    /// Begins a call that was given its terms.
    #[inline(always)]
    pub(crate) fn begin_call(&mut self, operation: &str, payload: Payload<'_>) -> Result<()> {
        let begun = self.protocol.begin_call(operation, payload);
        self.begun(begun)
    }

    /// Begins a call that was given its terms, and whose payload is read [in
    /// place](super::payload_in_place).
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

    /// Returns the operation of the call.
    pub(crate) fn operation(&self) -> &str {
        self.protocol.operation()
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
    pub(super) fn swap_response(&mut self, buffer: &mut Vec<u8>) {
        self.protocol.swap_response(buffer);
    }

    pub(super) fn drop_response(&mut self) {
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
