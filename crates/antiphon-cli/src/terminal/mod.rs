//! What the program writes: answers, messages, errors.

mod live_line;
mod messages;
mod output;
mod report;
mod spinner;
mod text;

pub(crate) use live_line::LiveLine;
pub(crate) use messages::{guest_line, show_library_warnings, warning};
pub(crate) use output::{flushed, write};
pub(crate) use report::Report;
pub(crate) use spinner::with_spinner;
pub(crate) use text::{escape_block, escape_json, escape_line};
