//! Guests with directories: files are waited for outside the conversation, so the deadline is kept
//! around them.

use std::mem;

use antiphon::Conversation;
use antiphon::errors::Error;

use super::Interruptible;
use crate::instance::compiled::Compiled;
use crate::instance::linked::Linked;
use crate::instance::wasi::in_tokio;
use crate::instance::{Guest, How, Instance, Unstarted};

impl Instance {
    /// Starts a guest with directories, with the deadline kept around its start.
    pub(in crate::instance) async fn start_with_directories(
        compiled: &Compiled,
        linked: &Linked,
        conversation: &mut Box<Conversation>,
        spare: Box<Conversation>,
        how: How,
    ) -> Result<Self, Unstarted> {
        let watch = conversation.watch();
        let start = Box::pin(Self::start_in(compiled, linked, conversation, spare, how));
        match watch.over(in_tokio(start)).await {
            Ok(Ok(started)) => started,
            Ok(Err(error)) | Err(error) => Err(Error::init("instance", error).into()),
        }
    }
}

impl Guest {
    /// Runs `__guest_call` of a guest with directories, with the deadline kept around it.
    pub(super) async fn run_watched(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        let watch = conversation.watch();
        let run = in_tokio(Interruptible::new(self.run_on_fiber(conversation)));
        match watch.over(run).await {
            Ok(Ok(returned)) => returned,
            // The call was dropped in the middle. What the guest wrote still goes to the log, and
            // the conversation, which knows what the call has used, goes back to the host.
            Ok(Err(error)) | Err(error) => {
                let flushed = self.store.data_mut().flush_output();
                mem::swap(&mut self.store.data_mut().conversation, conversation);
                flushed.and(Err(error))
            }
        }
    }
}
