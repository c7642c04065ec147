//! Limits the growth of one instance when Wasmtime asks.

use antiphon::growth::{Growth, MAX_TABLES};
use wasmtime::ResourceLimiter;

use crate::engine::lacked;

/// What the instance may grow to. Its limits hold for the whole store, which has one instance.
#[derive(Debug)]
pub(super) struct Limiter(pub(super) Growth);

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.0.memory(desired))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if lacked(&error).is_some() {
            self.0.system_refused();
        }
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.0.table(desired))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if lacked(&error).is_some() {
            self.0.system_refused();
        }
        Ok(())
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        usize::try_from(MAX_TABLES).unwrap_or(usize::MAX)
    }
}
