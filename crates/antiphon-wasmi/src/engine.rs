//! The wasmi engine: its settings for one module.

use antiphon::module_info::CodeInfo;
use antiphon::{EngineOptions, Limits};
use wasmi::{CompilationMode, Config, CustomFuelCosts, Engine, OperatorCost};

/// How deep calls may nest, and how many bytes their values take up: about what the 512 KiB of Wasmtime's stack hold.
const MAX_RECURSION: usize = 20_000;
const MAX_STACK: usize = 1 << 20;

/// Functions below both are translated when they are first called. Larger ones could hold a call up for too long, or turn
/// out then to have more values than wasmi can address; a module that has such a one is translated as a whole.
const LAZY_BODY: u64 = 32 << 10;
const LAZY_LOCALS: u64 = 4096;

/// An engine for one module: wasmi keeps the code of a module for as long as its engine.
pub(crate) fn new(code: &CodeInfo, options: &EngineOptions, configure: Option<fn(&mut Config)>) -> Engine {
    let mut config = config(code);
    if let Some(configure) = configure {
        configure(&mut config);
    }
    if options.deterministic.is_some() {
        // What it computes may differ from one machine to the next. (NaNs are canonical in any case.)
        config.wasm_relaxed_simd(false);
    }
    // Not to be configured away: deadlines hang on it.
    config.consume_fuel(true);
    charge(&mut config, code, &options.limits);
    Engine::new(&config)
}

fn config(code: &CodeInfo) -> Config {
    let lazy = code.largest_body <= LAZY_BODY && code.most_locals <= LAZY_LOCALS;
    let mut config = Config::default();
    config
        .compilation_mode(if lazy { CompilationMode::LazyTranslation } else { CompilationMode::Eager })
        .ignore_custom_sections(true)
        .set_max_recursion_depth(MAX_RECURSION)
        .set_max_stack_height(MAX_STACK)
        // Off: nobody's guests need them, and each is one more thing to get wrong. What else is off in every Antiphon
        // engine, wasmi either lacks or has off.
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false);
    config
}

/// What costs how much fuel, so that a slice of it is over in time whatever it is burnt on.
fn charge(config: &mut Config, code: &CodeInfo, limits: &Limits) {
    let mut bytes_copied_per_fuel = 64;
    // A call clears the locals of its callee.
    let call = u8::try_from(code.most_locals / 64).unwrap_or(u8::MAX).max(1);
    let mut operators = OperatorCost {
        call,
        call_indirect: call,
        return_call: call,
        return_call_indirect: call,
        ..OperatorCost::default()
    };
    if code.grows_tables {
        // wasmi cannot go on with a guest whose fuel runs out in `table.grow`, so that costs nothing by its size. Then
        // neither does any other bulk operation, to speak of: each costs as much as it can by itself, and slices are short.
        const ELEMENT: u64 = 8;
        let largest = limits.table_elements().saturating_mul(ELEMENT).saturating_add(1);
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
        // Which guest comes first to a function must not show; nor could a guest go on that runs out of fuel there.
        fuel_per_bytes_translated: 0,
        fuel_per_bytes_validated: 0,
    });
}
