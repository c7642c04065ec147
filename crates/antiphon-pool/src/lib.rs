#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod instance;
mod keeper;
mod lease;
mod lifecycle;
mod pool;
#[cfg(feature = "tower")]
mod promise;
mod queue;
mod report;
mod shared;
mod sync;
#[cfg(feature = "tower")]
mod tower;
mod version;

// For callers.
pub use lifecycle::WeakHostPool;
pub use pool::HostPool;

// For programs that set a pool up and end it.
pub use antiphon::Isolation;
pub use builder::HostPoolBuilder;
pub use lifecycle::Drained;

// For operators.
pub use report::{Histogram, PoolStats, VersionStats};
