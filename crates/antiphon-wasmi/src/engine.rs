//! The wasmi engine and its settings for one module.
//!
//! wasmi's own limits on modules are not set. `EnforcedLimits` are either `strict()` or none, and
//! large real modules (esbuild, PHP, CPython, CRuby) exceed them by their functions, globals, and
//! data segments. For every engine, a module is priced before the engine sees it; a caller that
//! wants wasmi's limits as well sets them through `configure`.
//!
//! wasmi needs no native stack of its own for a guest, whose stack is on the heap. Its handlers
//! jump from one to the next as far as LLVM turns calls into jumps; where calls remain, the end of
//! each slice unwinds them.

use antiphon::errors::Result;
use antiphon::module_info::CodeInfo;
use antiphon::{EngineOptions, Limits, default_limits};
use wasmi::{CompilationMode, Config, CustomFuelCosts, Engine, OperatorCost};

/// How deep calls may nest, and how many bytes their values may take: about what the 512 KiB of
/// Wasmtime's stack hold.
const MAX_RECURSION: usize = 20_000;
const MAX_STACK: usize = 1 << 20;

/// Functions below both limits are translated when they are first called. A larger function could
/// delay a call for too long, or turn out to have more values than wasmi can address. A module with
/// such a function is translated as a whole.
const LAZY_BODY: u64 = 32 << 10;
const LAZY_LOCALS: u64 = 4096;

/// Makes an engine for one module. wasmi keeps the code of a module as long as its engine, so a
/// replaced module takes its code with it.
///
/// # Errors
/// No guest can have a stack of the size that is asked for.
pub(crate) fn new(
    code: &CodeInfo,
    options: &EngineOptions,
    configure: Option<fn(&mut Config)>,
) -> Result<Engine> {
    let mut config = config(code);
    if let Some(configure) = configure {
        configure(&mut config);
    }
    if options.deterministic.is_some() {
        // Relaxed instructions may compute different results on different machines. (NaNs are
        // canonical in any case.)
        config.wasm_relaxed_simd(false);
    }
    let stack = options.stack()?;
    // What `configure` sets counts more than a default of the process, which it may have replaced.
    let stack = if configure.is_some() { options.limits.stack } else { stack };
    if let Some(stack) = stack {
        set_stack(&mut config, stack);
    }
    // Set after `configure`, because deadlines depend on it.
    config.consume_fuel(true);
    charge(&mut config, code, &options.limits.or(default_limits()));
    Ok(Engine::new(&config))
}

/// The size in bytes of a stack that has not grown yet. It is that of wasmi.
const SMALLEST_STACK: usize = 1_000;

/// Gives the guest as many calls and values as the default gives it, in proportion to its stack.
fn set_stack(config: &mut Config, stack: u64) {
    let scaled = |most: usize| {
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let scaled = most.saturating_mul(stack) / Limits::new().stack_or_default();
        usize::try_from(scaled).unwrap_or(usize::MAX).max(1)
    };
    // wasmi begins with the smallest height, and panics if that is above the largest one.
    config
        .set_max_recursion_depth(scaled(MAX_RECURSION))
        .set_min_stack_height(0)
        .set_max_stack_height(scaled(MAX_STACK))
        .set_min_stack_height(scaled(MAX_STACK).min(SMALLEST_STACK));
}

fn config(code: &CodeInfo) -> Config {
    let lazy = code.largest_body <= LAZY_BODY && code.most_locals <= LAZY_LOCALS;
    let mut config = Config::default();
    config
        .compilation_mode(if lazy { CompilationMode::LazyTranslation } else { CompilationMode::Eager })
        .ignore_custom_sections(true)
        .set_max_recursion_depth(MAX_RECURSION)
        .set_max_stack_height(MAX_STACK)
        // Off: guests do not need these, and each adds a way to be wrong. Everything else that is
        // off in every Antiphon engine, wasmi lacks or has off.
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false);
    config
}

/// Sets the prices of fuel, so that a slice is over in time whatever the guest burns it on.
fn charge(config: &mut Config, code: &CodeInfo, limits: &Limits) {
    let mut bytes_copied_per_fuel = 64;
    // A call clears the locals of its callee, so it costs more for a function with many.
    let call = u8::try_from(code.most_locals / 64).unwrap_or(u8::MAX).max(1);
    let mut operators = OperatorCost {
        call,
        call_indirect: call,
        return_call: call,
        return_call_indirect: call,
        ..OperatorCost::default()
    };
    if code.grows_tables {
        // wasmi 2.0.0 cannot resume a guest whose fuel runs out in `table.grow`. With a divisor
        // above the limit of elements, a growth within that limit costs nothing extra, so fuel
        // never runs out there. The divisor holds for all bulk operations, so each of them gets the
        // highest fixed price instead, and slices are short. If fuel still runs out there, the
        // limiter sees it, and the guest is ended, not resumed.
        const ELEMENT: u64 = 8;
        let largest = limits.table_elements_or_default().saturating_mul(ELEMENT).saturating_add(1);
        bytes_copied_per_fuel = u32::try_from(largest).unwrap_or(u32::MAX).max(bytes_copied_per_fuel);
        operators = OperatorCost {
            memory_copy: u8::MAX,
            memory_fill: u8::MAX,
            memory_init: u8::MAX,
            memory_grow: u8::MAX,
            table_copy: u8::MAX,
            table_fill: u8::MAX,
            table_init: u8::MAX,
            table_grow: u8::MAX,
            ..operators
        };
    }
    config.operator_cost(operators).fuel_cost(CustomFuelCosts {
        bytes_copied_per_fuel,
        // The price must not depend on which guest calls a function first. Also, a guest whose fuel
        // ran out during a translation could not be resumed.
        fuel_per_bytes_translated: 0,
        fuel_per_bytes_validated: 0,
    });
}
