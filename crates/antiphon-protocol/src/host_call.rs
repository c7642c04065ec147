//! The guest calls the host, in two halves, begin and finish. The handler of the host runs between
//! them.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use bytes::Bytes;

use crate::conversation::{Conversation, Phase};
use crate::memory::{Span, read, write};
use crate::names::{HOST_CALL, HOST_ERROR_FN, HOST_RESPONSE_FN};
use crate::text;
use crate::violation::{HostCallBudget, Violation};

/// A host call that passed every check. Its parts lie in guest memory, which cannot change before
/// the call is finished, because the guest waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the four parts are the protocol")]
pub struct HostCallRequest<'m> {
    /// The binding.
    pub binding: &'m str,
    /// The namespace.
    pub namespace: &'m str,
    /// The operation.
    pub operation: &'m str,
    /// The payload.
    pub payload: &'m [u8],
}

/// The decision of [`Conversation::begin_host_call`].
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a host call runs or it does not")]
pub enum Begin<'m> {
    /// Run the handler, and then call [`Conversation::finish_host_call`].
    Run(HostCallRequest<'m>),
    /// Return 0 to the guest. It can read the reason as the host's error.
    Refused,
}

/// What the last host call left for the guest to read.
#[derive(Debug, Default)]
pub(crate) enum HostAnswer {
    #[default]
    None,
    Response(Bytes),
    Error(String),
}

impl Conversation {
    /// Runs the first half of `__host_call`, with its eight arguments in their order.
    #[inline]
    pub fn begin_host_call<'m>(&mut self, memory: &'m [u8], args: [i32; 8]) -> Result<Begin<'m>, Violation> {
        let [bd, bd_len, ns, ns_len, op, op_len, msg, msg_len] = args;
        // All four spans are checked before anything else, so that another refusal never hides a
        // wild pointer.
        let binding = read(memory, Span::new(bd, bd_len), HOST_CALL)?;
        let namespace = read(memory, Span::new(ns, ns_len), HOST_CALL)?;
        let operation = read(memory, Span::new(op, op_len), HOST_CALL)?;
        let payload = read(memory, Span::new(msg, msg_len), HOST_CALL)?;

        let limit = self.limits.name_or_default();
        if let Some(binding) = fit(binding, limit)
            && let Some(namespace) = fit(namespace, limit)
            && let Some(operation) = fit(operation, limit)
        {
            return self.admit(HostCallRequest { binding, namespace, operation, payload }, None);
        }
        self.charge_host_call()?;
        Ok(self.refuse_host_call(unfit([binding, namespace, operation], limit)))
    }

    /// Runs the first half, as [`begin_host_call`](Self::begin_host_call) does, for an engine that
    /// has read the four parts itself.
    pub fn admit_host_call<'m>(&mut self, request: HostCallRequest<'m>) -> Result<Begin<'m>, Violation> {
        let limit = self.limits.name_or_default();
        let names = [request.binding, request.namespace, request.operation].map(str::as_bytes);
        let long = names.iter().any(|name| size(name) > limit).then(|| unfit(names, limit));
        self.admit(request, long)
    }

    /// Admits a host call whose names are UTF-8; `unfit` says what else is wrong with a name.
    #[inline]
    fn admit<'m>(
        &mut self,
        request: HostCallRequest<'m>,
        unfit: Option<String>,
    ) -> Result<Begin<'m>, Violation> {
        self.charge_host_call()?;
        let refusal = match (self.phase, unfit) {
            (Phase::Init { host_calls: false }, _) => {
                "host calls are not allowed during initialisation".to_owned()
            }
            (Phase::Idle, _) => "host calls are not allowed outside a call".to_owned(),
            (_, Some(reason)) => reason,
            _ if size(request.payload) > self.limits.host_payload_or_default() => {
                over("payload", request.payload.len(), self.limits.host_payload_or_default())
            }
            _ => {
                self.charge_bytes(size(request.payload))?;
                return Ok(Begin::Run(request));
            }
        };
        Ok(self.refuse_host_call(refusal))
    }

    /// Runs the second half: keeps the handler's answer for the guest to read, and returns the
    /// result of `__host_call`.
    #[inline]
    pub fn finish_host_call(&mut self, answer: Result<Bytes, String>) -> Result<i32, Violation> {
        match answer {
            Ok(bytes) if size(&bytes) <= self.limits.host_payload_or_default() => {
                self.charge_bytes(size(&bytes))?;
                self.extra().host_answer = HostAnswer::Response(bytes);
                Ok(1)
            }
            Ok(bytes) => {
                self.refuse_host_call(over("answer", bytes.len(), self.limits.host_payload_or_default()));
                Ok(0)
            }
            Err(reason) => {
                self.refuse_host_call(reason);
                Ok(0)
            }
        }
    }

    /// Serves `__host_response_len`: returns the length of the last host call's answer in bytes, or
    /// 0 without one.
    #[must_use]
    #[inline]
    pub fn host_response_len(&self) -> i32 {
        wasm_length(self.host_response_bytes().unwrap_or_default())
    }

    /// Serves `__host_response`: writes the last host call's answer, if there is one.
    #[inline]
    pub fn host_response(&self, memory: &mut [u8], ptr: i32) -> Result<(), Violation> {
        write(memory, ptr, self.host_response_bytes().unwrap_or_default(), HOST_RESPONSE_FN)
    }

    /// Serves `__host_error_len`: returns the length of the last host call's error in bytes, or 0
    /// without one.
    #[must_use]
    #[inline]
    pub fn host_error_len(&self) -> i32 {
        wasm_length(self.host_error_text().unwrap_or_default().as_bytes())
    }

    /// Serves `__host_error`: writes the last host call's error, if there is one.
    #[inline]
    pub fn host_error(&self, memory: &mut [u8], ptr: i32) -> Result<(), Violation> {
        write(memory, ptr, self.host_error_text().unwrap_or_default().as_bytes(), HOST_ERROR_FN)
    }

    /// Returns the answer of the last host call, for an engine that writes to guest memory itself.
    #[must_use]
    #[inline]
    pub fn host_response_bytes(&self) -> Option<&[u8]> {
        match &self.extra.host_answer {
            HostAnswer::Response(bytes) => Some(bytes),
            HostAnswer::None | HostAnswer::Error(_) => None,
        }
    }

    /// Returns the error of the last host call, for an engine that writes to guest memory itself.
    #[must_use]
    pub fn host_error_text(&self) -> Option<&str> {
        match &self.extra.host_answer {
            HostAnswer::Error(text) => Some(text),
            HostAnswer::None | HostAnswer::Response(_) => None,
        }
    }

    #[cold]
    fn refuse_host_call(&mut self, reason: String) -> Begin<'static> {
        self.extra().host_answer = HostAnswer::Error(text::cut(reason, self.limits.error_text_or_default()));
        Begin::Refused
    }

    #[inline]
    fn charge_host_call(&mut self) -> Result<(), Violation> {
        let (limit, extra) = (self.limits.host_calls_or_default(), self.extra());
        extra.host_answer = HostAnswer::None;
        extra.host_calls = extra.host_calls.saturating_add(1);
        if extra.host_calls > limit {
            return Err(Violation::HostCallLimit {
                budget: HostCallBudget::Calls,
                limit,
                used: extra.host_calls,
            });
        }
        Ok(())
    }

    #[inline]
    fn charge_bytes(&mut self, bytes: u64) -> Result<(), Violation> {
        let (limit, extra) = (self.limits.host_call_bytes_or_default(), self.extra());
        extra.host_call_bytes = extra.host_call_bytes.saturating_add(bytes);
        if extra.host_call_bytes > limit {
            return Err(Violation::HostCallLimit {
                budget: HostCallBudget::Bytes,
                limit,
                used: extra.host_call_bytes,
            });
        }
        Ok(())
    }
}

/// Returns a name that is UTF-8 and within its limit. The result is passed in registers; together
/// with a reason it would go through memory.
#[inline(always)]
fn fit(name: &[u8], limit: u64) -> Option<&str> {
    // Checked before UTF-8, whose check takes longer for longer names.
    if size(name) > limit {
        return None;
    }
    core::str::from_utf8(name).ok()
}

/// Returns what is wrong with the first of the three names that does not fit.
#[cold]
fn unfit(names: [&[u8]; 3], limit: u64) -> String {
    let named = ["binding", "namespace", "operation"].into_iter().zip(names);
    let mut unfit = named.filter(|(_, name)| fit(name, limit).is_none());
    match unfit.next() {
        Some((what, name)) if size(name) > limit => over(what, name.len(), limit),
        Some((what, _)) => format!("{what} of the host call is not UTF-8"),
        None => String::new(),
    }
}

#[cold]
fn over(what: &str, size: usize, limit: u64) -> String {
    let setter = if matches!(what, "payload" | "answer") { "host_payload" } else { "name" };
    format!(
        "{what} of the host call has {size} bytes, over the limit of {limit} bytes (raise it with Limits::{setter})"
    )
}

fn size(bytes: &[u8]) -> u64 {
    bytes.len().try_into().unwrap_or(u64::MAX)
}

/// Converts a length for wasm. Limits above 4 GiB are of no use to a 32-bit guest, because it could
/// not hold the bytes.
fn wasm_length(bytes: &[u8]) -> i32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).cast_signed()
}
