//! Replaces the module that serves.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use antiphon::errors::{Error, Result};
use antiphon::{EngineProviderFactory, block_on, offload};

use crate::pool::HostPool;
use crate::version::Version;

impl HostPool {
    /// Replaces the module, and returns the number of the new version. A thread of its own compiles
    /// the new module, and the pool starts as many instances of it as it keeps. From then on the
    /// new module serves all calls that begin. Running calls end in the old one, whose memory is
    /// freed after the last of them.
    ///
    /// If two replacements overlap, the one that began later serves in the end.
    ///
    /// # Errors
    /// [`ReplaceFailed`](antiphon::errors::ErrorKind::ReplaceFailed), with the reason as its
    /// source, if the module is refused or does not start, or if the pool was drained. The old
    /// module continues to serve.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await. The old module continues to serve.
    pub async fn replace(&self, module: &[u8]) -> Result<u64> {
        let (factory, module) = (Arc::clone(&self.inner.queue.current().factory), module.to_vec());
        let factory = offload(move || factory.with_module(&module)).await.map_err(Error::replace_failed)?;
        self.replace_factory(factory).await
    }

    /// Replaces the module as [`replace`](Self::replace) does, with one that is already compiled,
    /// perhaps for another engine or with other settings.
    ///
    /// # Errors
    /// Those of [`replace`](Self::replace).
    ///
    /// # Cancel safety
    /// The future may be dropped as that of [`replace`](Self::replace).
    pub async fn replace_factory(&self, factory: Arc<dyn EngineProviderFactory>) -> Result<u64> {
        let inner = &*self.inner;
        let number = inner.last_version.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let version = Version::new(number, factory, &inner.history);
        inner.serve(version).await.map_err(|error| Error::replace_failed(error.into()))?;
        inner.tally.replaced.fetch_add(1, Ordering::Relaxed);
        inner.blueprint.meters.replaced();
        Ok(number)
    }

    /// Replaces the module as [`replace`](Self::replace) does, on a thread that has no runtime.
    ///
    /// # Errors
    /// Those of [`replace`](Self::replace).
    pub fn replace_blocking(&self, module: &[u8]) -> Result<u64> {
        block_on(self.replace(module))
    }
}
