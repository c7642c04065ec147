//! What the program writes: answers, messages, errors.

mod library;
mod live_line;
mod messages;
mod output;
mod report;
mod spinner;
mod text;

pub(crate) use library::show_library_messages;
pub(crate) use live_line::LiveLine;
pub(crate) use messages::{format, guest_line, note, set_format, warning};
pub(crate) use output::{flushed, write, write_answer};
pub(crate) use report::Report;
pub(crate) use spinner::with_spinner;
pub(crate) use text::{escape_block, escape_json, escape_line};
