//! The options that users of `wasmtime-provider` know, and all that the builder was told.

use std::sync::Arc;

use antiphon::EngineOptions;

use crate::compile::cache::ModuleCache;

/// How many epoch ticks guest code may run.
///
/// Together with [`engine`](crate::WasmtimeEngineProviderBuilder::engine), the owner of that engine
/// decides how long a tick is, because Antiphon never ticks an engine that it did not make. Without
/// an engine, a tick is [`antiphon::ticker::TICK`], 5 ms. In both cases the default wall-clock
/// deadlines no longer apply.
///
/// The epochs of a caller's engine cannot be read, only awaited. A guest on such an engine runs
/// until all its ticks are over. Until then it does not yield to its executor and does not see its
/// [`CancelHandle`](antiphon::CancelHandle). If the call also has a wall-clock deadline, the guest
/// is checked at each tick, and the ticks that pass during a host call count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "users of wasmtime-provider build it with a struct expression")]
pub struct EpochDeadlines {
    /// The ticks for each of the start section, `_initialize`, `_start`, and `wapc_init`.
    pub wapc_init: u64,
    /// The ticks for a call.
    pub wapc_func: u64,
}

/// Limits on what an instance may allocate. They replace the defaults of [`antiphon::Limits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "users of wasmtime-provider build it with a struct expression")]
pub struct ResourceLimits {
    /// The size of linear memory in bytes; `None` for no limit.
    pub max_memory_size: Option<usize>,
    /// The elements of each table; `None` for no limit.
    pub max_table_elements: Option<usize>,
}

/// The builder's settings for the guests of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Shared by the providers of a module.
    pub(crate) options: Arc<EngineOptions>,
    pub(crate) epochs: Option<EpochDeadlines>,
    /// The cache of compiled modules, if any.
    pub(crate) cache: Option<ModuleCache>,
}
