//! Where the answer of a call goes.

use crate::conversation::Conversation;

/// What a host does around the engine's part of a call so that the answer gets where its caller wants it.
pub(crate) trait Output {
    /// Before the guest runs.
    fn prepare(&mut self, conversation: &mut Conversation);

    /// After it has answered: how many bytes.
    fn collect(&mut self, conversation: &mut Conversation) -> usize;

    /// After it has failed.
    fn discard(&mut self, conversation: &mut Conversation);
}

/// Into a new buffer.
impl Output for Vec<u8> {
    #[inline]
    fn prepare(&mut self, _conversation: &mut Conversation) {}

    #[inline]
    fn collect(&mut self, conversation: &mut Conversation) -> usize {
        *self = conversation.take_response();
        self.len()
    }

    fn discard(&mut self, conversation: &mut Conversation) {
        drop(conversation.take_response());
    }
}

/// Into a buffer that the caller brings, whose capacity is used.
pub(crate) struct Reused<'a>(pub(crate) &'a mut Vec<u8>);

impl Output for Reused<'_> {
    #[inline]
    fn prepare(&mut self, conversation: &mut Conversation) {
        self.0.clear();
        conversation.swap_response(self.0);
    }

    #[inline]
    fn collect(&mut self, conversation: &mut Conversation) -> usize {
        conversation.swap_response(self.0);
        self.0.len()
    }

    fn discard(&mut self, conversation: &mut Conversation) {
        conversation.swap_response(self.0);
        self.0.clear();
    }
}

/// Nowhere: the closure of [`sink`](crate::sink) reads it in the guest's memory.
pub(crate) struct InPlace;

impl Output for InPlace {
    #[inline]
    fn prepare(&mut self, conversation: &mut Conversation) {
        conversation.answer_in_place();
    }

    #[inline]
    fn collect(&mut self, conversation: &mut Conversation) -> usize {
        conversation.answered_in_place()
    }

    fn discard(&mut self, _conversation: &mut Conversation) {}
}
