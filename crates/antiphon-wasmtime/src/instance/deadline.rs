//! Where a deadline, a cancel or a stop ends a running guest: at each tick, and in imports that
//! take long.

use antiphon::Conversation;
use antiphon::errors::Error;
use wasmtime::UpdateDeadline;

use super::data::Data;
use super::fiber::Fiber;
use crate::engine::Ticks;

impl Data {
    /// Decides, at each tick that passes while guest code runs, whether it may run on.
    pub(super) fn on_tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        // Other tasks may have run for long. Without this check the guest would run on for a tick.
        if std::mem::take(&mut self.yielded) {
            self.check()?;
            return Ok(UpdateDeadline::Continue(1));
        }
        // This returns our typed error instead of `Interrupt`. It comes out of the guest call
        // unchanged.
        self.conversation.check()?;
        if let Some(ticks) = &mut self.ticks {
            ticks.on_tick()?;
        }
        if let Some(give_way) = self.fiber.and_then(Fiber::give_way) {
            self.yielded = true;
            return Ok(give_way);
        }
        Ok(UpdateDeadline::Continue(1))
    }

    /// Checks whether the guest may run on, for imports that take long. The engine checks in loops,
    /// at the beginning of functions, and before bulk operations, but not between imports that are
    /// called in a straight line.
    #[inline]
    pub(super) fn check(&self) -> Result<(), Error> {
        check(&self.conversation, self.ticks.as_ref())
    }
}

/// Checks whether a guest may run on, given parts of its store's data.
#[inline]
pub(super) fn check(conversation: &Conversation, ticks: Option<&Ticks>) -> Result<(), Error> {
    conversation.check()?;
    ticks.map_or(Ok(()), Ticks::check)
}
