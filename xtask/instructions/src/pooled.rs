//! Calls through a pool, for the program of this package to count.
//!
//! They are in a crate of their own. In the same crate, the compiler would stop inlining the calls
//! of the bare hosts, and those would count for more.

#![forbid(unsafe_code)]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use antiphon::{Bytes, EngineProviderFactory, handler_fn_async};
use antiphon_pool::HostPool;
use anyhow::Result;

/// A pool with one instance, which is always free.
#[derive(Debug)]
pub struct Pooled(HostPool);

impl Pooled {
    /// Starts a pool whose handler may wait, as that of the hosts may.
    ///
    /// # Errors
    /// The guest does not start.
    pub fn new(factory: Arc<dyn EngineProviderFactory>) -> Result<Self> {
        let echo = handler_fn_async(|call| Box::pin(async move { Ok(Bytes::copy_from_slice(call.payload)) }));
        Ok(Self(block_on(HostPool::builder(factory).min(1).max(1).handler(echo).build())?))
    }

    /// Calls the pool as a task does.
    ///
    /// # Errors
    /// Those of the call.
    pub fn call(&self, operation: &str, payload: &[u8]) -> Result<Vec<u8>> {
        Ok(block_on(self.0.call(operation, payload))?)
    }

    /// Calls the pool as a thread without a runtime does.
    ///
    /// # Errors
    /// Those of the call.
    pub fn call_blocking(&self, operation: &str, payload: &[u8]) -> Result<Vec<u8>> {
        Ok(self.0.call_blocking(operation, payload)?)
    }
}

/// Polls a future until it is ready: an executor that adds almost nothing to the count.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::yield_now(),
        }
    }
}
