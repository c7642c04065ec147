//! The hostile corpus: guests that do harm on purpose, a file for each way to do it.
//!
//! Each case is marked with `hostile`, so it also fails if the host spends more time or memory on
//! it than its bound allows. Deadlines are short, because most of these guests end by theirs.

use crate::suite::Case;

mod conversation;
mod modules;
mod resources;
mod wasi;

/// The topics of each folder.
pub(super) const FOLDERS: [&[&[Case]]; 4] =
    [conversation::TOPICS, resources::TOPICS, modules::TOPICS, wasi::TOPICS];
