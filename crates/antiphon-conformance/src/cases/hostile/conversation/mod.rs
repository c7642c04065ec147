//! Guests that say what the protocol does not mean, and too much of it.

use crate::suite::Case;

mod floods;
mod imports_anywhere;
mod logs;
mod messages;

/// The topics, each with the cases of one file.
pub(in crate::cases) const TOPICS: &[&[Case]] =
    &[messages::CASES, floods::CASES, logs::CASES, imports_anywhere::CASES];
