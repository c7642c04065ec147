//! The pool that instances of one call come from: its size, and what makes instances when it is
//! full.
//!
//! A pool is as large as the machine allows, and it never limits how many instances there are.
//! Modules of equal settings share an engine and so its pool. All pools of the process share a
//! budget of address space and of mappings, and each pool takes an eighth of what is left. An
//! instance that finds no place, for whatever reason, starts on a second engine beside the pool.
//! That engine has the same code, which is serialised and loaded again in this process once, in
//! some milliseconds. If no pool can be had, all instances are made on demand.

use std::fmt;
use std::sync::{Mutex, Once, OnceLock};

use antiphon::Limits;
use antiphon::growth::MAX_TABLES;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::Clocked;
use super::system_info::SystemInfo;
use crate::lock::lock;

/// The largest number of instances that one pool holds at once.
const MAX_SLOTS: u64 = 1_000;

/// The smallest pool that is worth making.
const MIN_SLOTS: u64 = 4;

/// The address space that all pools of the process may take, in bytes: a quarter of the 47 bits
/// that a process has.
const ADDRESS_SPACE: u64 = 1 << 45;

/// The mappings of an instance in a slot: four for its memory with an image in it, and two for its
/// stack with a guard page.
const MAPPINGS: u64 = 6;

/// The limit of Linux on the mappings of a process, unless it was changed.
const MAX_MAPPINGS: u64 = 65_530;

/// Each pool takes at most this part of what is left, so that something always remains.
const SHARE: u64 = 8;

/// The written memory, in bytes, that a slot keeps for its next instance after cleaning it, if
/// pages are scanned.
const KEEP: u64 = 4 << 20;

/// How many slots go back to the system together, if each of them has to.
const BATCH: usize = 32;

/// The size of a table's element in bytes.
const ELEMENT: u64 = 8;

/// What a pool is made for.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// The address space of one memory in bytes, including its guard pages.
    memory: u64,
    /// The number of elements that a table may grow to.
    table_elements: u64,
    /// The stack of a guest that can suspend, in bytes.
    stack: u64,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, table_elements, stack } = self;
        write!(
            f,
            "for each instance {memory} bytes of address space, {table_elements} table elements and a stack of \
             {stack} bytes"
        )
    }
}

impl Wanted {
    fn new(engine: &Engine, table_elements: u64) -> Self {
        let stack = engine.get_async_stack_size().try_into().unwrap_or(u64::MAX);
        let guard = engine.get_memory_guard_size();
        Self { memory: engine.get_memory_reservation().saturating_add(guard), table_elements, stack }
    }

    /// Returns the address space of a slot in bytes.
    fn slot(&self) -> u64 {
        let tables = self.table_elements.saturating_mul(ELEMENT).saturating_mul(MAX_TABLES);
        self.memory.saturating_add(self.stack).saturating_add(tables)
    }
}

/// What all pools together have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    address_space: u64,
    mappings: u64,
}

static TAKEN: Mutex<Taken> = Mutex::new(Taken { address_space: 0, mappings: 0 });

fn taken() -> std::sync::MutexGuard<'static, Taken> {
    lock(&TAKEN)
}

/// The settings of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    slots: u64,
    scan: bool,
    /// The memory that a slot keeps, in bytes. It is 0 if pages are not scanned, because cleaning
    /// everything that may have been written costs more than returning it.
    keep: u64,
    takes: Taken,
}

/// Returns the largest pool that the machine allows, given what other pools have taken, or `None`
/// if it would be too small.
fn plan(wanted: &Wanted, system: &SystemInfo, taken: Taken) -> Option<Plan> {
    // All slots together may keep an eighth of the machine's memory.
    let address_space = system.address_space.map_or(ADDRESS_SPACE, |limit| ADDRESS_SPACE.min(limit / 4));
    let mappings = system.max_mappings.unwrap_or(MAX_MAPPINGS) / 2;
    let left =
        |all: u64, taken: u64, slot: u64| (all.saturating_sub(taken) / SHARE).checked_div(slot).unwrap_or(0);
    let slots = left(address_space, taken.address_space, wanted.slot())
        .min(left(mappings, taken.mappings, MAPPINGS))
        .min(MAX_SLOTS);
    if slots < MIN_SLOTS {
        return None;
    }
    let scan = system.scans_pages_safely();
    // The amount for one slot if every slot keeps as much as it may.
    let affordable = system.memory.unwrap_or(0) / 8 / slots;
    Some(Plan {
        slots,
        scan,
        keep: if scan { KEEP.min(affordable) } else { 0 },
        takes: Taken {
            address_space: slots.saturating_mul(wanted.slot()),
            mappings: slots.saturating_mul(MAPPINGS),
        },
    })
}

impl Plan {
    fn config(&self, wanted: &Wanted, reservation: u64) -> PoolingAllocationConfig {
        let (count, tables) = (narrow(self.slots), narrow(MAX_TABLES));
        let mut config = PoolingAllocationConfig::new();
        config
            .total_core_instances(count)
            .total_memories(count)
            .total_tables(count.saturating_mul(tables))
            .max_tables_per_module(tables)
            .table_elements(usize::try_from(wanted.table_elements).unwrap_or(usize::MAX))
            .max_memories_per_module(1)
            // As large as the reservation, because the store enforces the limits, and a host may
            // raise them.
            .max_memory_size(usize::try_from(reservation).unwrap_or(usize::MAX))
            // Only a check of Wasmtime; the limits on modules already bound this.
            .max_core_instance_size(1 << 30)
            // An instance takes the place of the one before it, which is already mapped. With a
            // place for each module that was called, those of modules that are gone would keep
            // their images, and an open file for each.
            .max_unused_warm_slots(0)
            .decommit_batch_size(if self.scan { 1 } else { BATCH })
            .linear_memory_keep_resident(usize::try_from(self.keep).unwrap_or(0))
            .pagemap_scan(if self.scan { Enabled::Yes } else { Enabled::No });
        #[cfg(feature = "async")]
        config.total_stacks(count);
        config
    }
}

fn narrow(count: u64) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

/// What belongs to the engine of a pool.
pub(crate) struct Pool {
    /// The settings of an engine with the same code, whose instances are limited only by memory.
    on_demand: Config,
    engine: OnceLock<Option<Clocked>>,
    room: Room,
    warned: Once,
    takes: Taken,
}

/// What each slot of a pool has room for.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// How many elements a table has room for.
    table_elements: u64,
    /// How many bytes a memory has room for. A memory in a slot cannot move.
    memory: u64,
}

impl Pool {
    /// Makes an engine whose instances come from a pool, or are made on demand if the machine has
    /// no room for a pool. Tables have room for so many elements.
    ///
    /// # Errors
    /// Fails if Wasmtime refuses the settings.
    pub(super) fn engine(config: &Config, table_elements: u64) -> Result<Clocked, crate::errors::Error> {
        let first = Clocked::new(config)?;
        let mut on_demand = config.clone();
        on_demand.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        // The caller has made a pool in `configure`.
        if let Some(pool) = first.engine.get_pooling_config() {
            let table_elements = pool.get_table_elements().try_into().unwrap_or(u64::MAX);
            let memory = pool.get_max_memory_size().try_into().unwrap_or(u64::MAX);
            return Ok(first.with_pool(Self::new(
                on_demand,
                Room { table_elements, memory },
                Taken::default(),
            )));
        }
        let wanted = Wanted::new(&first.engine, table_elements);
        let Some(plan) = Self::claim(&wanted) else {
            tracing::warn!(
                target: "antiphon",
                %wanted,
                "the machine has no room for a pool of instances: each is made on demand"
            );
            return Ok(first);
        };
        let reservation = first.engine.get_memory_reservation();
        let room = Room { table_elements: wanted.table_elements, memory: reservation };
        let pool = Self::new(on_demand, room, plan.takes);
        let mut pooled = config.clone();
        pooled.allocation_strategy(plan.config(&wanted, reservation));
        match Clocked::new(&pooled) {
            Ok(engine) => Ok(engine.with_pool(pool)),
            Err(error) => {
                tracing::warn!(
                    target: "antiphon",
                    %error,
                    "a pool of instances cannot be had: each is made on demand"
                );
                Ok(first)
            }
        }
    }

    fn new(on_demand: Config, room: Room, takes: Taken) -> Self {
        Self { on_demand, engine: OnceLock::new(), room, warned: Once::new(), takes }
    }

    fn claim(wanted: &Wanted) -> Option<Plan> {
        if cfg!(not(target_pointer_width = "64")) {
            return None;
        }
        let mut taken = taken();
        let plan = plan(wanted, &SystemInfo::this(), *taken)?;
        taken.address_space = taken.address_space.saturating_add(plan.takes.address_space);
        taken.mappings = taken.mappings.saturating_add(plan.takes.mappings);
        Some(plan)
    }

    /// Returns whether the pool's tables and memories can grow as far as the limits allow.
    pub(crate) fn fits(&self, limits: &Limits) -> bool {
        /// The most that a memory of 32-bit addresses can have, in bytes.
        const LARGEST: u64 = 4 << 30;

        limits.table_elements_or_default() <= self.room.table_elements
            && limits.memory_or_default().min(LARGEST) <= self.room.memory
    }

    /// Returns the engine that makes instances on demand, or `None` if it cannot be made.
    pub(crate) fn on_demand(&self) -> Option<&Clocked> {
        self.engine.get_or_init(|| Clocked::new(&self.on_demand).ok()).as_ref()
    }

    /// Warns once that instances are made on demand.
    pub(crate) fn warn(&self, why: &dyn fmt::Display) {
        self.warned.call_once(|| {
            tracing::warn!(
                target: "antiphon",
                %why,
                "an instance does not fit into its pool: such instances are made on demand, which is slower"
            );
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut taken = taken();
        taken.address_space = taken.address_space.saturating_sub(self.takes.address_space);
        taken.mappings = taken.mappings.saturating_sub(self.takes.mappings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { memory: (4 << 30) + (32 << 20), table_elements: 20_000, stack: 2 << 20 };

    /// A machine on which every fact is favourable.
    const SYSTEM: SystemInfo = SystemInfo {
        kernel: Some((6, 7)),
        swaps: Some(false),
        migrates: Some(false),
        max_mappings: Some(1 << 20),
        address_space: None,
        memory: Some(64 << 30),
    };

    fn slots(system: SystemInfo, taken: Taken) -> Option<u64> {
        plan(&WANTED, &system, taken).map(|plan| plan.slots)
    }

    #[test]
    fn a_pool_is_as_large_as_address_space_and_mappings_allow() {
        let none = Taken::default();
        assert_eq!(slots(SYSTEM, none), Some(1_000));
        assert_eq!(slots(SystemInfo { max_mappings: Some(65_530), ..SYSTEM }, none), Some(682));
        assert_eq!(slots(SystemInfo { max_mappings: None, ..SYSTEM }, none), Some(682));
        assert_eq!(slots(SystemInfo { max_mappings: Some(1_000), ..SYSTEM }, none), Some(10));
        assert_eq!(slots(SystemInfo { max_mappings: Some(100), ..SYSTEM }, none), None);
        assert_eq!(slots(SystemInfo { max_mappings: Some(0), ..SYSTEM }, none), None);
        assert_eq!(slots(SystemInfo { address_space: Some(1 << 40), ..SYSTEM }, none), Some(7));
        assert_eq!(slots(SystemInfo { address_space: Some(16 << 30), ..SYSTEM }, none), None);
    }

    #[test]
    fn tables_that_may_grow_without_end_leave_no_pool() {
        for table_elements in [u64::MAX, 1 << 40] {
            assert_eq!(plan(&Wanted { table_elements, ..WANTED }, &SYSTEM, Taken::default()), None);
        }
    }

    #[test]
    fn pools_leave_room_for_one_another_and_never_take_more_than_there_is() {
        let (mut taken, mut pools) = (Taken::default(), 0);
        while let Some(plan) = plan(&WANTED, &SYSTEM, taken) {
            taken.address_space += plan.takes.address_space;
            taken.mappings += plan.takes.mappings;
            pools += 1;
        }
        assert!(pools >= 30, "{pools}");
        assert!(taken.address_space <= ADDRESS_SPACE && taken.mappings <= 1 << 19, "{taken:?}");
    }

    #[test]
    fn memory_is_kept_and_scanned_only_where_the_scan_is_safe_and_memory_is_there() {
        let plan = |system| {
            let plan = plan(&WANTED, &system, Taken::default()).unwrap();
            (plan.scan, plan.keep)
        };
        assert_eq!(plan(SYSTEM), (true, 4 << 20));
        assert_eq!(plan(SystemInfo { memory: Some(8_000 << 20), ..SYSTEM }), (true, 1 << 20));
        assert_eq!(plan(SystemInfo { memory: None, ..SYSTEM }), (true, 0));
        for unsafe_system in [
            SystemInfo { swaps: Some(true), ..SYSTEM },
            SystemInfo { migrates: Some(true), ..SYSTEM },
            SystemInfo { kernel: Some((6, 6)), ..SYSTEM },
            SystemInfo { kernel: None, ..SYSTEM },
        ] {
            assert_eq!(plan(unsafe_system), (false, 0), "{unsafe_system:?}");
        }
    }
}
