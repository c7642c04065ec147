//! Limits memory and tables of one instance.

use antiphon::growth::Growth;
use wasmi::ResourceLimiter;
use wasmi::errors::{MemoryError, TableError};
use wasmi_core::LimiterError;

/// Refuses growth beyond the limits, and notes a state that wasmi cannot resume from.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) growth: Growth,
    /// Whether the guest ran out of fuel in `table.grow`. wasmi 2.0.0 does not note how far it got
    /// there, so resuming the guest would run its code with wrong values.
    pub(crate) starved_in_table_grow: bool,
}

type Allowed = Result<bool, LimiterError>;

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _current: usize, desired: usize, _max: Option<usize>) -> Allowed {
        Ok(self.growth.memory(desired))
    }

    fn memory_grow_failed(&mut self, error: &MemoryError) -> Result<(), LimiterError> {
        if matches!(error, MemoryError::OutOfSystemMemory) {
            self.growth.system_refused();
        }
        Ok(())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _max: Option<usize>) -> Allowed {
        Ok(self.growth.table(desired))
    }

    fn table_grow_failed(&mut self, error: &TableError) -> Result<(), LimiterError> {
        self.starved_in_table_grow |= matches!(error, TableError::OutOfFuel { .. });
        if matches!(error, TableError::OutOfSystemMemory) {
            self.growth.system_refused();
        }
        Ok(())
    }

    fn instances(&self) -> usize {
        // One instance for the guest, and one of the shim for each import that suspends.
        4
    }

    fn memories(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        usize::try_from(antiphon::growth::MAX_TABLES).unwrap_or(usize::MAX)
    }
}
