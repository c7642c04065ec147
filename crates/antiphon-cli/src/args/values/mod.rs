//! The values of options: how each is written, and why a text is none.

mod changes;
mod format;
mod json_source;
mod options;
mod rule;

pub(crate) use changes::Changes;
pub(crate) use format::{Format, FormatArgs};
pub(crate) use json_source::JsonSource;
pub(crate) use options::{
    Dir, Isolation, Language, Mode, Variable, argument, clock, count, deadline, engine, json, number, size,
};
pub(crate) use rule::{Answer, Pattern, Rule};
