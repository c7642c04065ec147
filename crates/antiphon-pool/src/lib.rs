#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod instance;
mod keeper;
mod lease;
mod lifecycle;
mod pool;
mod queue;
mod report;
mod sync;
#[cfg(feature = "tower")]
mod tower;
mod version;

pub use antiphon::Isolation;
pub use builder::HostPoolBuilder;
pub use lifecycle::drain::Drained;
pub use lifecycle::weak::WeakHostPool;
pub use pool::HostPool;
pub use report::histogram::Histogram;
pub use report::stats::{PoolStats, VersionStats};
