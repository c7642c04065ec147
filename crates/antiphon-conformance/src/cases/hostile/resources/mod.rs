//! Guests that take what there is of memory, time and stack.

use crate::suite::Case;

mod endless;
mod endless_starts;
mod growth;
mod recursion;
mod straight_lines;

/// The topics, each with the cases of one file.
pub(in crate::cases) const TOPICS: &[&[Case]] =
    &[growth::CASES, endless::CASES, endless_starts::CASES, recursion::CASES, straight_lines::CASES];
