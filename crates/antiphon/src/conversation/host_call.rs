//! `__host_call`, around what the handler of the host does.

use std::time::Instant;

use antiphon_protocol::{Begin, HostCallRequest};

use super::Conversation;
use crate::errors::{Phase, Result};
use crate::handler::{Answer, HostCall, Run};

impl Conversation {
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
}
