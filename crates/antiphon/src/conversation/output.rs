//! The ways in which the answer of a call reaches its caller.

use super::Conversation;
use crate::call::Response;

/// What a host does around the engine's part of a call to bring the answer where the caller wants
/// it.
pub(crate) trait Output {
    /// Prepares the conversation before the guest runs.
    fn prepare(&mut self, conversation: &mut Conversation);

    /// Takes the answer after the guest has answered.
    fn collect(&mut self, conversation: &mut Conversation);

    /// Leaves no answer after the call has failed.
    fn discard(&mut self, conversation: &mut Conversation);
}

/// Puts the answer into a new buffer.
impl Output for Vec<u8> {
    #[inline]
    fn prepare(&mut self, _conversation: &mut Conversation) {}

    #[inline]
    fn collect(&mut self, conversation: &mut Conversation) {
        conversation.swap_response(self);
    }

    fn discard(&mut self, conversation: &mut Conversation) {
        conversation.drop_response();
    }
}

/// Puts the answer into a new buffer, together with what the call used if its request asked.
impl Output for Response {
    #[inline]
    fn prepare(&mut self, _conversation: &mut Conversation) {}

    #[inline]
    fn collect(&mut self, conversation: &mut Conversation) {
        conversation.swap_response(&mut self.payload);
        self.usage = conversation.usage(self.payload.len());
    }

    fn discard(&mut self, conversation: &mut Conversation) {
        conversation.drop_response();
    }
}

/// Puts the answer into a buffer that the caller brought, and uses its capacity.
pub(crate) struct Reused<'a>(pub(crate) &'a mut Vec<u8>);

impl Output for Reused<'_> {
    #[inline]
    fn prepare(&mut self, conversation: &mut Conversation) {
        self.0.clear();
        conversation.swap_response(self.0);
    }

    #[inline]
    fn collect(&mut self, conversation: &mut Conversation) {
        conversation.swap_response(self.0);
    }

    fn discard(&mut self, conversation: &mut Conversation) {
        conversation.swap_response(self.0);
        self.0.clear();
    }
}

/// Puts the answer nowhere: a closure reads it in the guest's memory, see
/// [`answer_in_place`](crate::conversation::answer_in_place).
pub(crate) struct InPlace;

impl Output for InPlace {
    #[inline]
    fn prepare(&mut self, conversation: &mut Conversation) {
        conversation.answer_in_place();
    }

    #[inline]
    fn collect(&mut self, _conversation: &mut Conversation) {}

    fn discard(&mut self, _conversation: &mut Conversation) {}
}
