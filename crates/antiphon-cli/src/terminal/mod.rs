//! What the program writes: answers, messages, errors.

pub(crate) mod live_line;
pub(crate) mod messages;
pub(crate) mod output;
pub(crate) mod report;
pub(crate) mod spinner;
pub(crate) mod text;
