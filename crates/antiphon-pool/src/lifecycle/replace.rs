//! Another module in the place of the one that serves.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use antiphon::errors::{Error, Result};
use antiphon::{EngineProviderFactory, block_on, offload};

use crate::pool::HostPool;
use crate::version::Version;

impl HostPool {
    /// Replaces the module, and returns the number of its version. The new one is compiled on a thread of its own, and as
    /// many instances are started as the pool keeps; then all calls that begin are served by it. Those that run end in
    /// the old one, whose memory is freed after the last of them.
    ///
    /// Of two replacements at once the one that was begun later serves in the end.
    ///
    /// # Errors
    /// [`ReplaceFailed`](antiphon::errors::ErrorKind::ReplaceFailed), with the reason as its source: the module is refused,
    /// it does not start, or the pool was drained. The old module serves on.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await: the old module serves on.
    pub async fn replace(&self, module: &[u8]) -> Result<u64> {
        let (factory, module) = (Arc::clone(&self.inner.queue.current().factory), module.to_vec());
        let factory = offload(move || factory.with_module(&module)).await.map_err(Error::replace_failed)?;
        self.replace_factory(factory).await
    }

    /// The same with a module that is compiled already, perhaps for another engine or with other settings.
    ///
    /// # Errors
    /// Those of [`replace`](Self::replace).
    ///
    /// # Cancel safety
    /// That of [`replace`](Self::replace).
    pub async fn replace_factory(&self, factory: Arc<dyn EngineProviderFactory>) -> Result<u64> {
        let inner = &*self.inner;
        let number = inner.last_version.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let version = Version::new(number, factory, &inner.history, inner.settings.max);
        inner.serve(version).await.map_err(|error| Error::replace_failed(error.into()))?;
        inner.tally.replaced.fetch_add(1, Ordering::Relaxed);
        inner.blueprint.meters.replaced();
        Ok(number)
    }

    /// [`replace`](Self::replace) on a thread that has no runtime.
    ///
    /// # Errors
    /// Those of [`replace`](Self::replace).
    pub fn replace_blocking(&self, module: &[u8]) -> Result<u64> {
        block_on(self.replace(module))
    }
}
