//! Guests that turn the functions of WASI against the host.

use crate::suite::Case;

mod exit;
mod io;
mod pointers;
mod poll;
mod table;

/// The topics, each with the cases of one file.
pub(in crate::cases) const TOPICS: &[&[Case]] = &[exit::CASES, io::CASES, poll::CASES, pointers::CASES];
