//! One guest call from start to end: the order of its messages, its budgets, its outcome.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::host_call::HostAnswer;
use crate::limits::Limits;
use crate::memory::{Span, read, write};
use crate::names::{GUEST_ERROR_FN, GUEST_REQUEST_FN, GUEST_RESPONSE_FN, HOST_CONSOLE_LOG};
use crate::operation::Operation;
use crate::payload::Payload;
use crate::text;
use crate::violation::Violation;

/// The least that a log line costs of the log's budget, in bytes, so that a flood of empty lines
/// ends too.
const LOG_LINE_COST: u64 = 16;

/// One guest call from start to end, with its host calls. A conversation and its buffers are reused
/// from call to call.
///
/// The methods come in three groups: commands of the host (`begin_*`, `end_*`, `take_*`), the
/// imports that the guest calls (named after them, and hostile in every argument), and getters.
///
/// # Errors
/// Every `Err` of a method is a [`Violation`]: a span outside of memory, a size over a limit that
/// cannot be reported in another way, or a spent budget. From `begin_call` it means that nothing
/// has begun. From an import it means that the engine has to end the guest call. A host call that
/// is merely wrong is not an `Err` but an error that the guest can read.
#[derive(Debug)]
pub struct Conversation {
    /// Shared with the other conversations of a host: most of them are idle, and each is much
    /// smaller without limits of its own.
    pub(crate) limits: Arc<Limits>,
    sizes: Sizes,
    pub(crate) phase: Phase,
    operation: Operation,
    /// Holds copies of borrowed payloads. It keeps its capacity.
    buffer: Vec<u8>,
    payload_len: usize,
    /// Whether the payload stays with the host, which passes it to each `__guest_request`.
    in_place: bool,
    response: Vec<u8>,
    answered: bool,
    /// Whether `extra` was touched. Most calls need only this one check before they begin and after
    /// they end.
    untidy: bool,
    pub(crate) extra: Extra,
}

/// The limits that every call is checked against, computed once. In any case a length has to fit
/// the 32 bits of wasm.
#[derive(Debug)]
struct Sizes {
    name: u64,
    request: u64,
    response: u64,
}

/// What only some calls have. All of it is dropped when they end, because it may hold permits and
/// connections. Written through [`Conversation::extra`].
#[derive(Debug, Default)]
pub(crate) struct Extra {
    payload: Stored,
    guest_error: Option<String>,
    pub(crate) host_answer: HostAnswer,
    pub(crate) host_calls: u64,
    pub(crate) host_call_bytes: u64,
    log_bytes: u64,
    log_dropped: u64,
}

/// The state of the conversation, which decides what the imports do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Idle,
    Init {
        host_calls: bool,
    },
    Call,
}

/// Where the payload is stored.
#[derive(Debug, Default)]
enum Stored {
    /// Copied into the reused buffer.
    #[default]
    Buffer,
    Owned(Vec<u8>),
    Shared(Bytes),
}

impl Stored {
    /// Returns the bytes, given those of the buffer.
    #[inline(never)]
    fn or<'a>(&'a self, buffer: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Buffer => buffer,
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// How a guest call that returned has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the outcome table is the protocol")]
pub enum Outcome {
    /// The guest answered; see [`Conversation::take_response`].
    Answered,
    /// The guest reported a failure, with its text if it set one.
    Failed(Option<String>),
    /// The guest reported success and set nothing.
    Misbehaved,
}

impl Conversation {
    /// Creates a conversation that has not begun. The limits hold for every call that it serves.
    #[must_use]
    pub fn new(limits: impl Into<Arc<Limits>>) -> Self {
        let limits = limits.into();
        let within_wasm = |limit: u64| limit.min(u64::from(u32::MAX));
        let sizes = Sizes {
            name: within_wasm(limits.name_or_default()),
            request: within_wasm(limits.request_or_default()),
            response: within_wasm(limits.response_or_default()),
        };
        Self {
            limits,
            sizes,
            phase: Phase::Idle,
            operation: Operation::default(),
            buffer: Vec::new(),
            payload_len: 0,
            in_place: false,
            response: Vec::new(),
            answered: false,
            untidy: false,
            extra: Extra::default(),
        }
    }

    // Commands of the host.

    /// Begins the start of an instance. `__guest_request` then writes nothing, and host calls are
    /// refused unless `host_calls` allows them.
    pub fn begin_init(&mut self, host_calls: bool) {
        self.forget();
        self.operation.set("");
        self.buffer.clear();
        self.payload_len = 0;
        self.phase = Phase::Init { host_calls };
    }

    /// Ends the start of an instance, and drops a response or an error that it set.
    pub fn end_init(&mut self) {
        self.reset();
    }

    /// Begins a call, and forgets everything of the call before it.
    #[inline(always)]
    pub fn begin_call(&mut self, operation: &str, payload: Payload<'_>) -> Result<(), Violation> {
        // Taken apart first: a value that has to be dropped if the code between panics is kept in
        // memory, and a borrow is not.
        match payload {
            Payload::Borrowed(bytes) => {
                self.prepare(operation, bytes)?;
                refill(&mut self.buffer, bytes);
                self.phase = Phase::Call;
                Ok(())
            }
            Payload::Owned(bytes) => self.begin_call_with(operation, Stored::Owned(bytes)),
            Payload::Shared(bytes) => self.begin_call_with(operation, Stored::Shared(bytes)),
        }
    }

    #[inline(never)]
    fn begin_call_with(&mut self, operation: &str, payload: Stored) -> Result<(), Violation> {
        self.prepare(operation, payload.or(&[]))?;
        self.buffer.clear();
        self.extra().payload = payload;
        self.phase = Phase::Call;
        Ok(())
    }

    /// Begins a call whose payload stays with the host, which passes it to
    /// [`guest_request_from`](Self::guest_request_from).
    #[inline]
    pub fn begin_call_in_place(&mut self, operation: &str, payload: &[u8]) -> Result<(), Violation> {
        self.prepare(operation, payload)?;
        self.buffer.clear();
        self.in_place = true;
        self.phase = Phase::Call;
        Ok(())
    }

    /// Copies the payload of a call that began in place, when its host cannot lend it any longer.
    pub fn keep_payload(&mut self, payload: &[u8]) {
        refill(&mut self.buffer, payload);
        self.in_place = false;
    }

    #[inline(always)]
    fn prepare(&mut self, operation: &str, payload: &[u8]) -> Result<(), Violation> {
        let name = check("operation", operation.as_bytes(), self.sizes.name);
        if let Err(violation) = name.and_then(|()| check("request", payload, self.sizes.request)) {
            self.reset();
            return Err(violation);
        }
        self.forget();
        self.operation.set(operation);
        self.payload_len = payload.len();
        Ok(())
    }

    /// Returns the arguments of `__guest_call`: the lengths of the operation and of the payload, in
    /// bytes.
    #[must_use]
    #[inline]
    pub fn lengths(&self) -> (i32, i32) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a call begins with no more than fits: see `Sizes`"
        )]
        let wasm = |length: usize| (length as u32).cast_signed();
        (wasm(self.operation.len()), wasm(self.payload_len))
    }

    /// Ends a call whose `__guest_call` returned.
    #[inline]
    pub fn end_call(&mut self, returned: i32) -> Outcome {
        self.phase = Phase::Idle;
        if returned != 0 && self.answered {
            return Outcome::Answered;
        }
        match (returned, self.extra.guest_error.take()) {
            (0, error) => Outcome::Failed(error),
            (_, Some(error)) => Outcome::Failed(Some(error)),
            (_, None) => Outcome::Misbehaved,
        }
    }

    /// Ends a call whose `__guest_call` did not return. Returns the error text that the guest set
    /// before, if any.
    pub fn abandon_call(&mut self) -> Option<String> {
        self.phase = Phase::Idle;
        self.extra.guest_error.take()
    }

    /// Returns whether there is nothing to [`release`](Self::release).
    #[must_use]
    #[inline]
    pub fn is_tidy(&self) -> bool {
        !self.untidy
    }

    /// Drops everything of the call that is not reused: owned payloads, texts, the answer of the
    /// last host call, and counts.
    #[inline]
    pub fn release(&mut self) {
        if self.untidy {
            self.tidy();
        }
    }

    /// Takes the answer, and leaves an empty buffer behind.
    #[must_use]
    #[inline]
    pub fn take_response(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.response)
    }

    /// Exchanges the answer's buffer, so that a caller can pass one with capacity.
    #[inline]
    pub fn swap_response(&mut self, buffer: &mut Vec<u8>) {
        core::mem::swap(&mut self.response, buffer);
    }

    // Imports, called by the guest.

    /// Serves `__guest_request`: writes the payload and then the operation. Does nothing outside of
    /// a call.
    #[inline]
    pub fn guest_request(&self, memory: &mut [u8], op_ptr: i32, msg_ptr: i32) -> Result<(), Violation> {
        self.guest_request_from(memory, op_ptr, msg_ptr, self.payload())
    }

    /// Serves `__guest_request` with the payload of a call that began [in
    /// place](Self::begin_call_in_place).
    #[inline]
    pub fn guest_request_from(
        &self,
        memory: &mut [u8],
        op_ptr: i32,
        msg_ptr: i32,
        payload: &[u8],
    ) -> Result<(), Violation> {
        if self.phase != Phase::Call {
            return Ok(());
        }
        write(memory, msg_ptr, payload, GUEST_REQUEST_FN)?;
        write(memory, op_ptr, self.operation.as_bytes(), GUEST_REQUEST_FN)
    }

    /// Serves `__guest_response`: keeps the answer. The last answer counts.
    #[inline]
    pub fn guest_response(&mut self, memory: &[u8], ptr: i32, len: i32) -> Result<(), Violation> {
        let bytes = self.guest_response_in_place(memory, ptr, len)?;
        refill(&mut self.response, bytes);
        Ok(())
    }

    /// Serves `__guest_response` for a host that reads the answer in place: checks and counts the
    /// answer without a copy.
    #[inline]
    pub fn guest_response_in_place<'m>(
        &mut self,
        memory: &'m [u8],
        ptr: i32,
        len: i32,
    ) -> Result<&'m [u8], Violation> {
        let bytes = self.check_response(read(memory, Span::new(ptr, len), GUEST_RESPONSE_FN)?)?;
        self.answered = true;
        Ok(bytes)
    }

    /// Serves `__guest_error`: keeps the text, decoded lossily and cut at its limit. The last text
    /// counts.
    pub fn guest_error(&mut self, memory: &[u8], ptr: i32, len: i32) -> Result<(), Violation> {
        let bytes = read(memory, Span::new(ptr, len), GUEST_ERROR_FN)?;
        self.extra().guest_error =
            Some(text::decode(bytes, self.limits.error_text_or_default()).into_owned());
        Ok(())
    }

    /// Serves `__console_log`: returns the line to log, or `None` if the call's log budget is
    /// spent.
    pub fn console_log<'m>(
        &mut self,
        memory: &'m [u8],
        ptr: i32,
        len: i32,
    ) -> Result<Option<Cow<'m, str>>, Violation> {
        let bytes = read(memory, Span::new(ptr, len), HOST_CONSOLE_LOG)?;
        Ok(self.log_line(bytes))
    }

    /// Returns a line for the log that did not come through `__console_log` (WASI's stdout). It is
    /// cut, escaped, and charged in the same way.
    pub fn log_line<'m>(&mut self, bytes: &'m [u8]) -> Option<Cow<'m, str>> {
        let size = u64::try_from(bytes.len())
            .unwrap_or(u64::MAX)
            .min(self.limits.log_line_or_default())
            .max(LOG_LINE_COST);
        let (limit, extra) = (self.limits.log_or_default(), self.extra());
        if extra.log_bytes.saturating_add(size) > limit {
            extra.log_dropped = extra.log_dropped.saturating_add(1);
            return None;
        }
        extra.log_bytes = extra.log_bytes.saturating_add(size);
        Some(text::escape(text::decode(bytes, self.limits.log_line_or_default())))
    }

    /// Serves `env.abort`: returns the text of AssemblyScript's abort, with its source position.
    /// The engine ends the call with it.
    pub fn abort(&mut self, memory: &[u8], [message, file, line, column]: [i32; 4]) -> String {
        let limit = self.limits.error_text_or_default();
        let string = |ptr| text::assembly_script(memory, ptr, limit);
        let message = string(message).unwrap_or_else(|| "no message".into());
        let file = string(file).unwrap_or_else(|| "unknown file".into());
        let (line, column) = (line.cast_unsigned(), column.cast_unsigned());
        let text = format!("{message} at {file}:{line}:{column}");
        self.extra().guest_error = Some(text.clone());
        text
    }

    /// Serves `env.trace`: returns the line to log, with the first `count` of the numbers, or
    /// `None` if the call's log budget is spent. A text that is not entirely in memory is left out.
    pub fn trace(
        &mut self,
        memory: &[u8],
        message: i32,
        (count, numbers): (i32, [f64; 5]),
    ) -> Option<Cow<'static, str>> {
        let text = text::assembly_script(memory, message, self.limits.log_line_or_default());
        let numbers = numbers.iter().take(usize::try_from(count).unwrap_or(0));
        let line = text::trace(&text.unwrap_or_default(), numbers);
        self.log_line(line.as_bytes()).map(|line| Cow::Owned(line.into_owned()))
    }

    // For engines that copy to and from guest memory themselves.

    /// Keeps an answer that the engine has read.
    pub fn set_response(&mut self, response: Vec<u8>) -> Result<(), Violation> {
        self.check_response(&response)?;
        self.response = response;
        self.answered = true;
        Ok(())
    }

    /// Keeps an error text that the engine has read.
    pub fn set_guest_error(&mut self, error: String) {
        self.extra().guest_error = Some(text::cut(error, self.limits.error_text_or_default()));
    }

    // Getters.

    /// Returns the operation and the payload of the running call, or `None` outside of a call.
    #[must_use]
    pub fn request(&self) -> Option<(&str, &[u8])> {
        (self.phase == Phase::Call).then(|| (self.operation.as_str(), self.payload()))
    }

    /// Returns whether the payload of the running call stays with its host.
    #[must_use]
    #[inline]
    pub fn is_in_place(&self) -> bool {
        self.in_place
    }

    /// Returns the operation of the running call, or of the last one.
    #[must_use]
    pub fn operation(&self) -> &str {
        self.operation.as_str()
    }

    /// Returns the answer that the guest has set so far.
    #[must_use]
    pub fn response(&self) -> Option<&[u8]> {
        self.answered.then_some(self.response.as_slice())
    }

    /// Returns the limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns how many host calls the guest has tried in this call.
    #[must_use]
    pub fn host_calls(&self) -> u64 {
        self.extra.host_calls
    }

    /// Returns how many log lines of this call were dropped because they exceeded the budget.
    #[must_use]
    #[inline]
    pub fn log_dropped(&self) -> u64 {
        self.extra.log_dropped
    }

    #[inline]
    fn payload(&self) -> &[u8] {
        if self.untidy { self.extra.payload.or(&self.buffer) } else { &self.buffer }
    }

    #[inline]
    fn check_response<'m>(&self, bytes: &'m [u8]) -> Result<&'m [u8], Violation> {
        check("response", bytes, self.sizes.response).map(|()| bytes)
    }

    fn reset(&mut self) {
        self.phase = Phase::Idle;
        self.forget();
    }

    /// Forgets the previous call. Its payload stays in the buffer until the next call; `phase`
    /// keeps guests from reading it.
    #[inline]
    fn forget(&mut self) {
        self.response.clear();
        self.answered = false;
        self.in_place = false;
        self.release();
    }

    #[inline]
    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.untidy = true;
        &mut self.extra
    }

    #[inline(never)]
    fn tidy(&mut self) {
        self.extra = Extra::default();
        self.payload_len = self.buffer.len();
        self.untidy = false;
    }
}

impl Default for Conversation {
    fn default() -> Self {
        Self::new(Limits::new())
    }
}

/// Checks a size against its limit.
#[inline]
fn check(what: &'static str, bytes: &[u8], limit: u64) -> Result<(), Violation> {
    let size = bytes.len().try_into().unwrap_or(u64::MAX);
    if size > limit { Err(too_large(what, size, limit)) } else { Ok(()) }
}

#[cold]
fn too_large(what: &'static str, size: u64, limit: u64) -> Violation {
    Violation::TooLarge { what, size, limit }
}

/// Replaces the contents of a buffer whose capacity is kept. Checks for empty contents first,
/// because a call of a copy costs more than the check, and many payloads are empty.
#[inline]
fn refill(buffer: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() > buffer.capacity() {
        // A fresh buffer, because growing this one would also copy its old contents.
        *buffer = bytes.to_vec();
        return;
    }
    buffer.clear();
    if !bytes.is_empty() {
        buffer.extend_from_slice(bytes);
    }
}
