//! The handle through which an asynchronous engine of `wapc` 2.x's shape takes part in a
//! conversation.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use antiphon_protocol::{HostCallRequest, Limits};

use super::module_state::{HostCallInProgress, State, unsent};
use super::{Invocation, ModuleState};
use crate::conversation::{Conversation, Shared};
use crate::errors::{BoxError, Result};
use crate::handler::{self, Begun, HostCall, Run};

/// The state of a host's conversation, given to an asynchronous engine at its `init`.
///
/// It is a [`ModuleState`] with the signatures that engines written for `wapc` 2.x expect. Only
/// [`do_host_call`](Self::do_host_call) ever waits.
#[derive(Default)]
pub struct ModuleStateAsync(ModuleState);

impl ModuleStateAsync {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(ModuleState::new(shared))
    }

    /// Returns the host's number, which is unique in the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id()
    }

    /// Returns the limits in force: the stricter of the host's and of those that the provider
    /// reported.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.0.limits()
    }

    /// Returns a conversation of this host in which nothing runs, to be exchanged for the running
    /// one.
    #[must_use]
    pub fn spare(&self) -> Box<Conversation> {
        self.0.spare()
    }

    /// Exchanges the conversation kept here for another. In this way an engine takes the running
    /// one out, and puts it back.
    pub fn exchange(&self, conversation: &mut Box<Conversation>) {
        self.0.exchange(conversation);
    }

    async fn host_call(&self, request: HostCallRequest<'_>) -> Result<i32, BoxError> {
        let Some(HostCallInProgress { terms, ledger, started }) = self.0.begin_host_call(request)? else {
            return Ok(0);
        };
        let run = Run::default();
        let call = HostCall::new(request, self.id(), (&terms, &ledger, &run));
        let answer = match self.0.shared().handler.begin(call) {
            Begun::Ended(answer) => answer,
            Begun::Waits(future) => handler::answer(future, self.id(), &terms).await,
        };
        self.0.finish_host_call(ledger, started, answer)
    }
}

/// The methods of `wapc` 2.x.
impl ModuleStateAsync {
    /// Returns the request of the current guest call, if there is one.
    pub async fn get_guest_request(&self) -> Option<Invocation> {
        self.0.get_guest_request()
    }

    /// Returns a copy of the current host response.
    #[deprecated(note = "clones the whole response; prefer `host_response_len` and `with_host_response`")]
    pub async fn get_host_response(&self) -> Option<Vec<u8>> {
        self.0.with_host_response(<[u8]>::to_vec)
    }

    /// Returns the length of the current host response, in bytes; 0 if there is none.
    pub async fn host_response_len(&self) -> usize {
        self.0.host_response_len()
    }

    /// Runs `f` with the current host response, if there is one, without cloning it.
    pub async fn with_host_response<R>(&self, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.0.with_host_response(f)
    }

    /// Sets the error of the running guest call.
    pub async fn set_guest_error(&self, error: String) {
        self.0.set_guest_error(error);
    }

    /// Sets the response of the running guest call; see [`ModuleState::set_guest_response`].
    pub async fn set_guest_response(&self, response: Vec<u8>) {
        self.0.set_guest_response(response);
    }

    /// Returns the response that the guest has set, if any.
    pub async fn get_guest_response(&self) -> Option<Vec<u8>> {
        self.0.get_guest_response()
    }

    /// Returns the error of the last host call, if it failed.
    pub async fn get_host_error(&self) -> Option<String> {
        self.0.get_host_error()
    }

    /// Runs a host call. Returns 1 if the guest can read an answer, 0 if it can read an error.
    ///
    /// # Errors
    /// Those of [`ModuleState::do_host_call`].
    pub async fn do_host_call(
        &self,
        binding: String,
        namespace: String,
        operation: String,
        payload: Vec<u8>,
    ) -> Result<i32, Box<dyn StdError>> {
        let request = HostCallRequest {
            binding: &binding,
            namespace: &namespace,
            operation: &operation,
            payload: &payload,
        };
        self.host_call(request).await.map_err(unsent)
    }

    /// Logs a line from the guest.
    pub fn do_console_log(&self, msg: &str) {
        self.0.do_console_log(msg);
    }
}

impl fmt::Debug for ModuleStateAsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleStateAsync").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl State for ModuleStateAsync {
    fn create(shared: Arc<Shared>) -> Self {
        Self::new(shared)
    }

    fn inner(&self) -> &ModuleState {
        &self.0
    }
}
