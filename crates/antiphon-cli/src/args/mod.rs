//! The arguments that the program understands, and the values of its options.

pub(crate) mod bench;
pub(crate) mod changes;
pub(crate) mod cli;
pub(crate) mod guest;
pub(crate) mod options;
pub(crate) mod shorten;
