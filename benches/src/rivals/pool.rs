//! Wasmtime's pooling allocator, set as a careful user would set it on this machine.

use std::fs;

use wasmtime::{Config, Enabled, PoolingAllocationConfig};

/// How a pool cleans what an instance leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pool {
    /// Pages go back to the system, 32 instances at a time.
    Batches,
    /// The kernel reports which pages are dirty, and those of the first 4 MiB are cleaned in place.
    Scan,
}

impl Pool {
    /// Returns the kinds that work on this machine; the last one is the best that is safe on it.
    ///
    /// `PAGEMAP_SCAN` needs kernel 6.7 or newer. In wasmtime 48 the scan misses a dirty page that
    /// is swapped out, or that the kernel is moving at that moment, and the slot's next tenant can
    /// read it.
    pub fn here() -> Vec<Self> {
        if !PoolingAllocationConfig::is_pagemap_scan_available() {
            return vec![Self::Batches];
        }
        // The first line is the heading.
        let swaps = fs::read_to_string("/proc/swaps").map_or(true, |text| text.lines().count() > 1);
        let moves = fs::read_to_string("/proc/vmstat").map_or(true, |text| text.contains("pgmigrate"));
        if swaps || moves { vec![Self::Scan, Self::Batches] } else { vec![Self::Batches, Self::Scan] }
    }

    /// Returns the best kind that is safe on this machine.
    pub fn best() -> Self {
        Self::here().last().copied().unwrap_or(Self::Batches)
    }

    /// Returns the name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Batches => "pooling, decommit in batches of 32",
            Self::Scan => "pooling, 4 MiB kept resident, `pagemap_scan`",
        }
    }

    /// Returns a configuration with this kind of pool.
    pub fn config(self) -> Config {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_core_instances(100).total_memories(100).total_tables(100).max_memory_size(64 << 20);
        match self {
            Self::Batches => pool.decommit_batch_size(32),
            Self::Scan => pool.linear_memory_keep_resident(4 << 20).pagemap_scan(Enabled::Yes),
        };
        let mut config = Config::new();
        config.allocation_strategy(pool);
        config
    }
}
