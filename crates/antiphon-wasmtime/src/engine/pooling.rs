//! The pool that instances of one call come from: how large it is, and what takes over where it ends.

use std::sync::{Mutex, Once, OnceLock, PoisonError};

use antiphon::Limits;
use antiphon::growth::MAX_TABLES;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::Clocked;
use super::system_info::SystemInfo;

/// Instances that one pool holds at once, at most.
const MAX_SLOTS: u64 = 1_000;

/// A pool of fewer is not worth its while.
const MIN_SLOTS: u64 = 4;

/// What all pools of the process may take of its address space, in bytes: a quarter of the 47 bits that it has.
const ADDRESS_SPACE: u64 = 1 << 45;

/// Mappings of an instance in a slot: its memory with an image in it (four), and its stack with a guard page (two).
const MAPPINGS: u64 = 6;

/// What Linux allows a process where nobody has set it.
const MAX_MAPPINGS: u64 = 65_530;

/// Each pool takes at most this share of what others have left, so that there is always something left.
const SHARE: u64 = 8;

/// Written memory that an instance leaves in its slot for the next one, cleaned, in bytes, where pages are scanned.
const KEEP: u64 = 4 << 20;

/// Slots that are given back to the system together, where each has to be.
const BATCH: usize = 32;

/// Bytes of a table's element.
const ELEMENT: u64 = 8;

/// What a pool is made for.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// Bytes of address space of one memory, its guard pages included.
    memory: u64,
    /// Elements that a table may grow to.
    table_elements: u64,
    /// Bytes of the stack of a guest that can suspend.
    stack: u64,
}

impl Wanted {
    fn new(engine: &Engine, limits: &Limits) -> Self {
        let stack = engine.get_async_stack_size().try_into().unwrap_or(u64::MAX);
        let guard = engine.get_memory_guard_size();
        Self {
            memory: engine.get_memory_reservation().saturating_add(guard),
            table_elements: limits.table_elements(),
            stack,
        }
    }

    /// Bytes of address space of a slot.
    fn slot(&self) -> u64 {
        let tables = self.table_elements.saturating_mul(ELEMENT).saturating_mul(MAX_TABLES);
        self.memory.saturating_add(self.stack).saturating_add(tables)
    }
}

/// What pools have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    address_space: u64,
    mappings: u64,
}

static TAKEN: Mutex<Taken> = Mutex::new(Taken { address_space: 0, mappings: 0 });

fn taken() -> std::sync::MutexGuard<'static, Taken> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The settings of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    slots: u64,
    scan: bool,
    /// Bytes of memory, and none of them where pages are not scanned: to clean what may have been written costs more than
    /// to give it back.
    keep: u64,
    takes: Taken,
}

/// The pool that the machine allows, given what others have taken of it; `None` where it is not worth its while.
fn plan(wanted: &Wanted, system: &SystemInfo, taken: Taken) -> Option<Plan> {
    // Of a limited address space, and of the mappings, the program needs the most itself.
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
    // All slots together, were each of them left as full as can be.
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
            // As far as the reservation goes: the limits are kept by the store, and a host may raise them.
            .max_memory_size(usize::try_from(reservation).unwrap_or(usize::MAX))
            // Only a check: the limits on modules bound it already.
            .max_core_instance_size(1 << 30)
            // An instance goes where the one before it was, which is mapped already.
            .max_unused_warm_slots(0)
            .decommit_batch_size(if self.scan { 1 } else { BATCH })
            .linear_memory_keep_resident(usize::try_from(self.keep).unwrap_or(0))
            .pagemap_scan(if self.scan { Enabled::Yes } else { Enabled::No });
        #[cfg(any(feature = "async", feature = "wasi-fs"))]
        config.total_stacks(count);
        config
    }
}

fn narrow(count: u64) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

/// What the engine of a pool has beside it.
pub(crate) struct Pool {
    /// The settings of an engine whose code is the same, and whose instances are limited by nothing but memory.
    on_demand: Config,
    engine: OnceLock<Option<Clocked>>,
    /// Elements that a table has room for.
    table_elements: u64,
    warned: Once,
    takes: Taken,
}

impl Pool {
    /// An engine whose instances come from a pool; from wherever there is room, where the machine has none for a pool.
    ///
    /// # Errors
    /// Wasmtime refuses the settings.
    pub(crate) fn engine(config: &Config, limits: &Limits) -> Result<Clocked, crate::errors::Error> {
        let first = Clocked::new(config)?;
        let mut on_demand = config.clone();
        on_demand.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        // A pool of the caller's, made by `configure`.
        if let Some(pool) = first.engine.get_pooling_config() {
            let table_elements = pool.get_table_elements().try_into().unwrap_or(u64::MAX);
            return Ok(first.with_pool(Self::new(on_demand, table_elements, Taken::default())));
        }
        let wanted = Wanted::new(&first.engine, limits);
        let Some(plan) = Self::claim(&wanted) else {
            tracing::warn!(
                target: "antiphon",
                ?wanted,
                "the machine has no room for a pool of instances: each is made on demand"
            );
            return Ok(first);
        };
        let pool = Self::new(on_demand, wanted.table_elements, plan.takes);
        let mut pooled = config.clone();
        let reservation = first.engine.get_memory_reservation();
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

    fn new(on_demand: Config, table_elements: u64, takes: Taken) -> Self {
        Self { on_demand, engine: OnceLock::new(), table_elements, warned: Once::new(), takes }
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

    /// Whether the pool's tables can grow as far as they may.
    pub(crate) fn fits(&self, limits: &Limits) -> bool {
        limits.table_elements() <= self.table_elements
    }

    /// The engine that takes over; `None` where it cannot be made.
    pub(crate) fn on_demand(&self) -> Option<&Clocked> {
        self.engine.get_or_init(|| Clocked::new(&self.on_demand).ok()).as_ref()
    }

    /// Says, once, that instances are made on demand.
    pub(crate) fn warn(&self, why: &dyn std::fmt::Display) {
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

    /// A machine that says the best of itself.
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
