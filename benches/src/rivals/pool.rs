//! Wasmtime's pooling allocator, as a careful user would set it on this machine.

use std::fs;

use wasmtime::{Config, Enabled, PoolingAllocationConfig};

/// How a pool cleans what an instance leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pool {
    /// Pages go back to the system, 32 instances at a time.
    Batches,
    /// The kernel tells which pages are dirty, and those of the first 4 MiB are cleaned in place.
    Scan,
}

impl Pool {
    /// Those that work on this machine, the best one that is safe on it last.
    ///
    /// `PAGEMAP_SCAN` needs a kernel from 6.7 on. In wasmtime 48 it does not see a dirty page that was swapped out, or that the
    /// kernel is moving just then, and the slot's next tenant can read it.
    pub fn here() -> Vec<Self> {
        if !PoolingAllocationConfig::is_pagemap_scan_available() {
            return vec![Self::Batches];
        }
        // One line is the heading.
        let swaps = fs::read_to_string("/proc/swaps").map_or(true, |text| text.lines().count() > 1);
        let moves = fs::read_to_string("/proc/vmstat").map_or(true, |text| text.contains("pgmigrate"));
        if swaps || moves { vec![Self::Scan, Self::Batches] } else { vec![Self::Batches, Self::Scan] }
    }

    /// The best one that is safe on this machine.
    pub fn best() -> Self {
        Self::here().last().copied().unwrap_or(Self::Batches)
    }

    /// What it is called in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Batches => "pooling, decommit in batches of 32",
            Self::Scan => "pooling, 4 MiB kept resident, `pagemap_scan`",
        }
    }

    /// A configuration with it.
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
