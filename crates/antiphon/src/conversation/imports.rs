//! What engines call: waPC's imports, each a method named after it, and what an engine asks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use antiphon_protocol::{self as protocol, Limits};

use super::log::{self, LogLine, LogStream};
use super::{Conversation, answer_in_place, payload_in_place};
use crate::call::{reentrancy, sleep, until};
use crate::errors::{Error, ErrorKind, Phase, Result};
use crate::survive::{panicked, survive};
use crate::time::ticker;
use crate::usage::FuelUse;

impl Conversation {
    /// Serves the import `__guest_request`.
    ///
    /// # Errors
    /// The guest points outside its memory.
    #[inline]
    pub fn guest_request(&self, memory: &mut [u8], op_ptr: i32, msg_ptr: i32) -> Result<()> {
        if self.protocol.is_in_place() {
            return payload_in_place::with_payload(|payload| {
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
            return answer_in_place::give(self.shared.id, answer);
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

    /// Serves the import `env.trace`: logs the text at `message` with the first `count` of the
    /// numbers.
    ///
    /// # Errors
    /// The log's sink panicked.
    pub fn trace(&mut self, memory: &[u8], message: i32, numbers: (i32, [f64; 5])) -> Result<()> {
        let line = self.protocol.trace(memory, message, numbers);
        self.emit(LogStream::Console, line.as_deref())
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
        until(&self.terms, sleep(duration))
            .await
            .map_err(|interrupt| self.terms.error(interrupt, Phase::Guest))
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

    // For engines that know only `ModuleState`.

    /// Keeps a response that the engine has read, or gives it to the closure that reads it in
    /// place.
    pub(crate) fn set_response(&mut self, response: Vec<u8>) -> Result<()> {
        self.protocol.set_response(response)?;
        if !self.in_place {
            return Ok(());
        }
        answer_in_place::give(self.shared.id, self.protocol.response().unwrap_or_default())
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

    fn emit(&self, stream: LogStream, text: Option<&str>) -> Result<()> {
        let Some(text) = text else { return Ok(()) };
        let line = LogLine { host_id: self.shared.id, operation: self.protocol.operation(), stream, text };
        let _running = reentrancy::enter(self.shared.id);
        catch_unwind(AssertUnwindSafe(|| log::emit(self.shared.log.as_ref(), line))).map_err(panicked)
    }

    #[cold]
    pub(super) fn report_dropped_log(&self) {
        let (host, dropped) = (self.shared.id, self.protocol.log_dropped());
        if dropped == 0 {
            return;
        }
        let operation = self.protocol.operation();
        let _running = reentrancy::enter(host);
        survive(|| {
            tracing::warn!(target: "antiphon::guest", host, operation, dropped, "log lines over the call's budget dropped");
        });
    }
}
