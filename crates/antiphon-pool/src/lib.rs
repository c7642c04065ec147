//! A pool of instances of one waPC guest: each call runs in a free one.
//!
//! An instance of a guest serves one call at a time, so a service needs several. A [`HostPool`]
//! starts them from one compiled module, gives each call a free one, and replaces those that a call
//! broke. Clones of a pool share it, across tasks and threads.
//!
//! ```
//! use antiphon::testing::{TestEngine, TestFactory};
//! use antiphon_pool::HostPool;
//! use std::{sync::Arc, time::Duration};
//!
//! // The factory of an engine's crate goes here; this one runs no WebAssembly.
//! let guest = TestEngine::new().operation("greet", |name| Ok([b"hello ", name].concat()));
//! let factory = Arc::new(TestFactory::new(guest));
//!
//! let pool = HostPool::builder(factory).min(2).max(8).queue(100).build_blocking()?;
//! assert_eq!(pool.call_blocking("greet", b"world")?, b"hello world");
//! assert_eq!(pool.stats().calls, 1);
//! pool.drain_blocking(Duration::from_secs(5));
//! # Ok::<(), antiphon::errors::Error>(())
//! ```
//!
//! # What happens in a call
//!
//! 1. The call takes a free instance. Taking it usually is one atomic exchange, and no lock.
//! 2. Where none is free, the call waits in a queue, first come, first served. A full queue refuses
//!    it at once, as [`Overloaded`](antiphon::errors::ErrorKind::Overloaded).
//! 3. The guest runs where its caller is: in the caller's task, or on the caller's thread.
//! 4. The instance goes back to the pool, or to the first call in the queue. After an error whose
//!    fate is `Discarded` (a trap, a deadline, a cancel, a panicking handler), or a dropped future,
//!    it is discarded instead, and a thread of the pools starts another. All pools of the process
//!    share a few such threads, which end while there is nothing to start.
//!
//! # Limits and deadlines
//!
//! | what | bounds | set by |
//! |---|---|---|
//! | deadline | the whole call: its time in the queue and in the guest | [`Request::deadline`](antiphon::Request::deadline), otherwise the limits |
//! | wait | the time in the queue alone | [`HostPoolBuilder::wait`] |
//! | memory, fuel, host calls, sizes | one call or one instance, as on a host | [`HostPoolBuilder::limits`], or the factory, whichever is stricter |
//! | instances, calls that wait | the pool | [`HostPoolBuilder::max`], [`HostPoolBuilder::queue`] |
//!
//! # Which type for which job
//!
//! | job | type |
//! |---|---|
//! | set a pool up | [`HostPoolBuilder`], from [`HostPool::builder`] |
//! | call, [replace](HostPool::replace) the module, [drain](HostPool::drain) | [`HostPool`] |
//! | call the pool from its own handlers | [`WeakHostPool`]: a handler that held a [`HostPool`] would keep it alive forever |
//! | give each call a fresh instance | [`Isolation::PerCall`] |
//! | watch | [`PoolStats`], or the features `metrics` and `tracing` |
//! | put the pool under layers of `tower` | the feature `tower`: [`HostPool`] is a `Service` |

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

/// Compiles and runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
