//! Memory and tables of one instance.

use wasmtime::ResourceLimiter;

/// Refuses growth beyond the limits, and remembers that it did: a trap after that is named after the limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory: u64,
    table_elements: u64,
    refused: Option<Refused>,
}

/// A growth that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What wanted to grow, with its unit.
    what: &'static str,
    wanted: u64,
    limit: u64,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, wanted, limit } = self;
        write!(f, "growth to {wanted} {what} was refused by the limit of {limit}")
    }
}

impl Limiter {
    pub(crate) fn new(limits: &antiphon::Limits) -> Self {
        Self { memory: limits.memory(), table_elements: limits.table_elements(), refused: None }
    }

    /// The last refusal since the call began.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused
    }

    pub(crate) fn forget(&mut self) {
        self.refused = None;
    }

    fn allow(&mut self, what: &'static str, desired: usize, limit: u64) -> bool {
        let wanted = u64::try_from(desired).unwrap_or(u64::MAX);
        if wanted <= limit {
            return true;
        }
        self.refused = Some(Refused { what, wanted, limit });
        false
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.allow("bytes of memory", desired, self.memory))
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.allow("table elements", desired, self.table_elements))
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

/// Compilers emit one or two; each may hold as many elements as the limit says.
pub(crate) const MAX_TABLES: u64 = 10;
