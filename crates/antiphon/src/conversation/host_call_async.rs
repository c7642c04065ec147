//! `__host_call` where the guest can suspend.

use antiphon_protocol::Begin;

use super::Conversation;
use crate::errors::Result;
use crate::handler::{self, Begun, HostCall, Run};

impl Conversation {
    /// Serves the import `__host_call` where the guest can suspend. It ends at the call's deadline,
    /// whatever the handler does.
    ///
    /// # Errors
    /// Those of [`host_call`](Self::host_call).
    ///
    /// # Cancel safety
    /// Dropping the future drops the handler's future. The instance has to be discarded with it.
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
}
