//! The hostile corpus: guests that do harm on purpose, a file for each way to do it.
//!
//! Each case is marked with `hostile`, so it also fails if the host spends more time or memory on
//! it than its bound allows. Deadlines are short, because most of these guests end by theirs.

use crate::case::Case;

mod bytes;
mod costs;
mod crowds;
mod endless;
mod endless_starts;
mod floods;
mod growth;
mod imports;
mod imports_anywhere;
mod logs;
mod messages;
mod raw;
mod recursion;
mod sections;
mod segments;
mod straight_lines;
mod text;
mod wasi_exit;
mod wasi_io;
mod wasi_pointers;
mod wasi_poll;
mod wasi_table;

/// The topics, each with the cases of one file.
pub(super) const TOPICS: &[&[Case]] = &[
    messages::CASES,
    floods::CASES,
    logs::CASES,
    imports_anywhere::CASES,
    growth::CASES,
    endless::CASES,
    endless_starts::CASES,
    recursion::CASES,
    straight_lines::CASES,
    bytes::CASES,
    crowds::CASES,
    costs::CASES,
    imports::CASES,
    sections::CASES,
    segments::CASES,
    text::CASES,
    wasi_exit::CASES,
    wasi_io::CASES,
    wasi_poll::CASES,
    wasi_pointers::CASES,
];
