//! What becomes of a pool: another module, its end, and a handle that does not keep it alive.

pub(crate) mod drain;
pub(crate) mod replace;
pub(crate) mod weak;
