#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod drain;
mod histogram;
mod instance;
mod keeper;
mod lease;
mod meters;
mod pool;
mod queue;
mod replace;
mod state;
mod stats;
mod sync;
mod ticket;
#[cfg(feature = "tower")]
mod tower;
mod trace;
mod version;
mod weak;

pub use antiphon::Isolation;
pub use builder::HostPoolBuilder;
pub use drain::Drained;
pub use histogram::Histogram;
pub use pool::HostPool;
pub use stats::{PoolStats, VersionStats};
pub use weak::WeakHostPool;
