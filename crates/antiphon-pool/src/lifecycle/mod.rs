//! What becomes of a pool: another module, its end, and a handle that does not keep it alive.

mod drain;
mod replace;
mod weak;

pub use drain::Drained;
pub use weak::WeakHostPool;
