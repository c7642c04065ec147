//! Bytes that are hardly a module, and modules that are hardly a guest.

use crate::suite::Case;

mod bytes;
mod costs;
mod crowds;
mod imports;
mod raw;
mod sections;
mod segments;
mod text;

/// The topics, each with the cases of one file.
pub(in crate::cases) const TOPICS: &[&[Case]] = &[
    bytes::CASES,
    crowds::CASES,
    costs::CASES,
    imports::CASES,
    sections::CASES,
    segments::CASES,
    text::CASES,
];
