//! The commands, one file each.

pub(crate) mod bench;
pub(crate) mod call;
pub(crate) mod compare;
pub(crate) mod compile;
pub(crate) mod completions;
pub(crate) mod engines;
pub(crate) mod inspect;
pub(crate) mod new;
pub(crate) mod test;
pub(crate) mod watch;
