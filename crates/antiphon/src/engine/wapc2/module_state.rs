//! The handle through which an engine of `wapc` 2.x's shape takes part in a conversation.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use antiphon_protocol::{Begin, HostCallRequest, Limits};

use super::Invocation;
use crate::call::Terms;
use crate::conversation::{Conversation, Shared};
use crate::errors::{BoxError, Result};
use crate::handler::{Answer, HostCall, Ledger, Run};
use crate::survive;

/// The state of a host's conversation, given to a synchronous engine at its `init`.
///
/// An engine either takes the [`Conversation`] out for the time of a call
/// ([`exchange`](Self::exchange), the fast way), or leaves it here and calls the methods below from
/// its imports, as engines written for `wapc` 2.x do.
pub struct ModuleState {
    shared: Arc<Shared>,
    /// Made when it is first needed. An engine that takes conversations out needs none between its
    /// calls.
    conversation: Mutex<Option<Box<Conversation>>>,
}

impl ModuleState {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, conversation: Mutex::default() }
    }

    /// Returns the host's number, which is unique in the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    /// Returns the limits in force: the stricter of the host's and of those that the provider
    /// reported.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns a conversation of this host in which nothing runs, to be exchanged for the running
    /// one.
    #[must_use]
    pub fn spare(&self) -> Box<Conversation> {
        Box::new(Conversation::idle(Arc::clone(&self.shared)))
    }

    /// Exchanges the conversation kept here for another. In this way an engine takes the running
    /// one out, and puts it back.
    pub fn exchange(&self, conversation: &mut Box<Conversation>) {
        self.with(|kept| std::mem::swap(kept, conversation));
    }

    /// Runs the first half of a host call. Returns `None` if the protocol refuses the call.
    ///
    /// The lock is not held between the halves: the handler may take its time, and may look at this
    /// state.
    pub(super) fn begin_host_call(
        &self,
        request: HostCallRequest<'_>,
    ) -> Result<Option<HostCallInProgress>, BoxError> {
        self.with(|conversation| match conversation.protocol().admit_host_call(request) {
            Err(violation) => {
                conversation.fail(violation.clone().into());
                Err(violation.into())
            }
            Ok(Begin::Refused) => Ok(None),
            Ok(Begin::Run(_)) => {
                let started = conversation.host_call_starts(request);
                let (terms, ledger) = (conversation.terms().clone(), conversation.lend_ledger());
                Ok(Some(HostCallInProgress { terms, ledger, started }))
            }
        })
    }

    pub(super) fn finish_host_call(
        &self,
        ledger: Ledger,
        started: Option<Instant>,
        answer: Answer,
    ) -> Result<i32, BoxError> {
        self.with(|conversation| {
            conversation.return_ledger(ledger);
            conversation.host_call_ends(started, answer).map_err(|error| {
                let text = error.to_string();
                conversation.fail(error);
                text.into()
            })
        })
    }

    /// Begins the start of an instance, in the conversation that is kept here.
    pub(crate) fn begin_init(&self, terms: Terms) {
        self.with(|conversation| conversation.begin_init(terms));
    }

    /// Ends the start of an instance. What the start set is dropped, and so is the conversation
    /// unless another start is to follow soon.
    pub(crate) fn end_init(&self, again: bool) {
        self.with(|conversation| conversation.end_init());
        if !again {
            let kept = self.lock().take();
            // Dropped without the lock, because what handlers left in it is foreign code.
            drop(kept);
        }
    }

    /// Runs `f` on the conversation that is kept here.
    fn with<R>(&self, f: impl FnOnce(&mut Box<Conversation>) -> R) -> R {
        f(self.lock().get_or_insert_with(|| self.spare()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Conversation>>> {
        survive::lock(&self.conversation)
    }
}

/// The methods of `wapc` 2.x.
impl ModuleState {
    /// Returns the request of the current guest call, if there is one.
    pub fn get_guest_request(&self) -> Option<Invocation> {
        self.with(|conversation| {
            conversation.protocol().request().map(|(operation, msg)| Invocation::new(operation, msg))
        })
    }

    /// Returns a copy of the current host response.
    #[deprecated(note = "clones the whole response; prefer `host_response_len` and `with_host_response`")]
    pub fn get_host_response(&self) -> Option<Vec<u8>> {
        self.with_host_response(<[u8]>::to_vec)
    }

    /// Returns the length of the current host response, in bytes; 0 if there is none.
    pub fn host_response_len(&self) -> usize {
        self.with_host_response(<[u8]>::len).unwrap_or(0)
    }

    /// Runs `f` with the current host response, if there is one, without cloning it.
    pub fn with_host_response<R>(&self, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.with(|conversation| conversation.protocol().host_response_bytes().map(f))
    }

    /// Sets the error of the running guest call.
    pub fn set_guest_error(&self, error: String) {
        self.with(|conversation| conversation.protocol().set_guest_error(error));
    }

    /// Sets the response of the running guest call. One over its limit ends the call with
    /// [`ErrorKind::TooLarge`](crate::errors::ErrorKind::TooLarge).
    pub fn set_guest_response(&self, response: Vec<u8>) {
        self.with(|conversation| {
            if let Err(error) = conversation.set_response(response) {
                conversation.fail(error);
            }
        });
    }

    /// Returns the response that the guest has set, if any.
    pub fn get_guest_response(&self) -> Option<Vec<u8>> {
        self.with(|conversation| conversation.protocol().response().map(<[u8]>::to_vec))
    }

    /// Returns the error of the last host call, if it failed.
    pub fn get_host_error(&self) -> Option<String> {
        self.with(|conversation| conversation.protocol().host_error_text().map(str::to_owned))
    }

    /// Runs a host call. Returns 1 if the guest can read an answer, 0 if it can read an error.
    ///
    /// # Errors
    /// The guest call has to end: a budget is spent, a handler panicked, or the deadline passed. If
    /// the engine goes on all the same, the outcome does not change.
    pub fn do_host_call(
        &self,
        binding: &str,
        namespace: &str,
        operation: &str,
        payload: &[u8],
    ) -> Result<i32, Box<dyn StdError>> {
        let request = HostCallRequest { binding, namespace, operation, payload };
        match self.begin_host_call(request).map_err(unsent)? {
            None => Ok(0),
            Some(HostCallInProgress { terms, ledger, started }) => {
                let run = Run::default();
                let call = HostCall::new(request, self.id(), (&terms, &ledger, &run));
                let answer = self.shared.handler.run(call);
                self.finish_host_call(ledger, started, answer).map_err(unsent)
            }
        }
    }

    /// Logs a line from the guest.
    pub fn do_console_log(&self, msg: &str) {
        self.with(|conversation| {
            if let Err(error) = conversation.log(crate::LogStream::Console, msg.as_bytes()) {
                conversation.fail(error);
            }
        });
    }
}

/// Converts to the error type of `wapc` 2.x's signatures. Done last, because that type may not be
/// held across an await.
pub(super) fn unsent(error: BoxError) -> Box<dyn StdError> {
    error
}

pub(super) struct HostCallInProgress {
    pub(super) terms: Terms,
    pub(super) ledger: Ledger,
    pub(super) started: Option<Instant>,
}

impl Default for ModuleState {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl fmt::Debug for ModuleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleState").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// What the hosts need of either state.
pub(crate) trait State: Send + Sync {
    fn create(shared: Arc<Shared>) -> Self;
    fn inner(&self) -> &ModuleState;
}

impl State for ModuleState {
    fn create(shared: Arc<Shared>) -> Self {
        Self::new(shared)
    }

    fn inner(&self) -> &ModuleState {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conversation_of_a_start_is_kept_only_for_another_one() {
        let shared = Arc::new(Shared::default());
        let state = ModuleState::new(Arc::clone(&shared));
        let conversations = || Arc::strong_count(&shared) - 2;
        assert_eq!(conversations(), 0);
        for again in [true, false] {
            state.begin_init(Terms::default());
            assert_eq!(conversations(), 1);
            state.end_init(again);
            assert_eq!(conversations(), usize::from(again));
        }
    }

    /// A host keeps two or three conversations for each of its instances, called or not.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_conversation_is_small() {
        let size = size_of::<Conversation>();
        assert!(size <= 368, "{size} bytes");
    }
}
