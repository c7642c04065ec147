//! What the guest and the host say to each other.

use crate::suite::Case;

mod assembly_script;
mod bounds;
mod host_call;
mod init;
mod log;
mod outcome;
mod trap;

pub(in crate::cases) use host_call::{RELAY, echo};
pub(crate) use outcome::ECHO;

/// The topics, each with the cases of one file.
pub(in crate::cases) const TOPICS: &[&[Case]] = &[
    outcome::CASES,
    bounds::CASES,
    host_call::CASES,
    log::CASES,
    trap::CASES,
    init::CASES,
    assembly_script::CASES,
];
