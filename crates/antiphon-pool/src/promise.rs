//! A place in the queue that is set aside for a call to come.

use std::sync::Arc;

use crate::shared::Inner;

/// A promised place in the queue of a pool. Dropping it returns the place.
pub(crate) struct Promise(Option<Arc<Inner>>);

impl Promise {
    /// Keeps a place that was promised in the pool's queue.
    pub(crate) fn new(pool: &Arc<Inner>) -> Self {
        Self(Some(Arc::clone(pool)))
    }

    /// Uses up the promise, because the call that it was made for has come.
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
