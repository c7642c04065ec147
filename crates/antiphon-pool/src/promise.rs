//! A place in the queue that is set aside for a call to come.

use std::sync::Arc;

use crate::shared::Inner;

/// A place in the queue of a pool, given back when dropped.
pub(crate) struct Promise(Option<Arc<Inner>>);

impl Promise {
    /// For a place that was promised in the pool's queue.
    pub(crate) fn new(pool: &Arc<Inner>) -> Self {
        Self(Some(Arc::clone(pool)))
    }

    /// The call that it was made for has come.
    pub(crate) fn redeem(mut self) {
        self.0 = None;
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(pool) = self.0.take() {
            pool.queue.forgo_promise();
        }
    }
}
