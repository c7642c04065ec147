//! The wasmi engine: its settings for one module.

use std::time::Duration;

use antiphon::Limits;
use antiphon::errors::{Error, ErrorKind};
use antiphon::module_info::CodeInfo;
use wasmi::{CompilationMode, Config, CustomFuelCosts, Engine, Instance, Module, OperatorCost, Store};

use crate::compiled::Settings;

/// An engine, and what it can do. Engines of ours serve one module each: wasmi keeps the code of a module for as long
/// as its engine.
#[derive(Clone, Debug)]
pub(crate) struct Metered {
    pub(crate) engine: Engine,
    /// Whether it counts fuel, on which deadlines hang.
    pub(crate) fuel: bool,
    /// How many elements a `table.grow` may add that is charged as if it added none. Known for a module that has one, on an
    /// engine of ours.
    free_growth: Option<u64>,
}

/// How deep calls may nest, and how many bytes their values take up: about what the 512 KiB of Wasmtime's stack hold.
const MAX_RECURSION: usize = 20_000;
const MAX_STACK: usize = 1 << 20;

/// Functions below both are translated when they are first called. Larger ones could hold a call up for too long, or turn
/// out then to have more values than wasmi can address; a module that has such a one is translated as a whole.
const LAZY_BODY: u64 = 32 << 10;
const LAZY_LOCALS: u64 = 4096;

impl Metered {
    /// An engine of ours.
    ///
    /// # Errors
    /// Those of [`given`](Self::given), for what it was configured to.
    pub(crate) fn new(code: &CodeInfo, settings: &Settings) -> Result<Self, Error> {
        let mut config = config(code, &settings.limits);
        if let Some(configure) = settings.configure {
            configure(&mut config);
            // Not to be configured away: deadlines hang on it.
            config.consume_fuel(true);
        }
        if settings.deterministic.is_some() {
            // What it computes may differ from one machine to the next. (NaNs are canonical in any case.)
            config.wasm_relaxed_simd(false);
        }
        let engine = Engine::new(&config);
        if settings.configure.is_some() {
            refuse_charges(&engine)?;
        }
        let free_growth = code.grows_tables.then(|| settings.limits.table_elements());
        Ok(Self { engine, fuel: true, free_growth })
    }

    /// An engine that the caller made.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for one that charges guests for the translation of their functions as they go: wasmi
    /// cannot go on with a call whose fuel runs out there.
    pub(crate) fn given(engine: &Engine) -> Result<Self, Error> {
        let fuel = Store::new(engine, ()).get_fuel().is_ok();
        if fuel {
            refuse_charges(engine)?;
        }
        Ok(Self { engine: engine.clone(), fuel, free_growth: None })
    }

    /// Whether bulk operations are not charged by their size.
    pub(crate) fn grows_tables(&self) -> bool {
        self.free_growth.is_some()
    }

    /// Refuses limits that it could not keep.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Error> {
        if self.free_growth.is_some_and(|elements| elements < limits.table_elements()) {
            let message = "a limit of table elements above the provider's, for a module that grows tables: \
                           set it on the builder, where its fuel is priced";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        if self.fuel {
            return Ok(());
        }
        if limits.deadline().min(limits.init_deadline()) != Duration::MAX {
            return Err(unsupported("a deadline"));
        }
        if limits.fuel() != u64::MAX {
            return Err(unsupported("a limit of fuel"));
        }
        Ok(())
    }
}

fn refuse_charges(engine: &Engine) -> Result<(), Error> {
    if charges_for_translation(engine).unwrap_or(false) {
        let message = "the engine charges fuel for lazy translation, where wasmi cannot go on once it is out: \
                       set `CompilationMode::Eager`, or a `fuel_cost` without it";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(())
}

/// Whether the first call of a function burns more than the next one does. `None` for an engine that refuses even this
/// module.
fn charges_for_translation(engine: &Engine) -> Option<bool> {
    /// `(module (func (export "")))`
    const EMPTY: &[u8] =
        b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x04\x01\0\0\0\x0a\x04\x01\x02\0\x0b";
    const PLENTY: u64 = 1 << 20;

    let module = Module::new(engine, EMPTY).ok()?;
    let mut store = Store::new(engine, ());
    store.set_fuel(PLENTY).ok()?;
    let instance = Instance::new(&mut store, &module, &[]).ok()?;
    let func = instance.get_typed_func::<(), ()>(&store, "").ok()?;
    let mut left = || {
        store.set_fuel(PLENTY).ok()?;
        func.call(&mut store, ()).ok()?;
        store.get_fuel().ok()
    };
    Some(left()? < left()?)
}

fn config(code: &CodeInfo, limits: &Limits) -> Config {
    let lazy = code.largest_body <= LAZY_BODY && code.most_locals <= LAZY_LOCALS;
    let mut config = Config::default();
    config
        .consume_fuel(true)
        .compilation_mode(if lazy { CompilationMode::LazyTranslation } else { CompilationMode::Eager })
        .ignore_custom_sections(true)
        .set_max_recursion_depth(MAX_RECURSION)
        .set_max_stack_height(MAX_STACK)
        // Off: nobody's guests need them, and each is one more thing to get wrong. What else is off in every Antiphon
        // engine, wasmi either lacks or has off.
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false);
    charge(&mut config, code, limits);
    config
}

/// What costs how much fuel, so that a slice of it is over in time whatever it is burnt on.
fn charge(config: &mut Config, code: &CodeInfo, limits: &Limits) {
    let mut operators = OperatorCost::default();
    let mut bytes_copied_per_fuel = 64;
    // A call clears the locals of its callee.
    let call = u8::try_from(code.most_locals / 64).unwrap_or(u8::MAX).max(1);
    for cost in [
        &mut operators.call,
        &mut operators.call_indirect,
        &mut operators.return_call,
        &mut operators.return_call_indirect,
    ] {
        *cost = call;
    }
    if code.grows_tables {
        // wasmi cannot go on with a guest whose fuel runs out in `table.grow`, so that costs nothing by its size. Then
        // neither does any other bulk operation, to speak of: each costs as much as it can by itself, and slices are short.
        const ELEMENT: u64 = 8;
        let largest = limits.table_elements().saturating_mul(ELEMENT).saturating_add(1);
        bytes_copied_per_fuel = u32::try_from(largest).unwrap_or(u32::MAX).max(bytes_copied_per_fuel);
        for cost in [
            &mut operators.memory_copy,
            &mut operators.memory_fill,
            &mut operators.memory_init,
            &mut operators.memory_grow,
            &mut operators.table_copy,
            &mut operators.table_fill,
            &mut operators.table_init,
            &mut operators.table_grow,
        ] {
            *cost = u8::MAX;
        }
    }
    config.operator_cost(operators).fuel_cost(CustomFuelCosts {
        bytes_copied_per_fuel,
        // Which guest comes first to a function must not show; nor could a guest go on that runs out of fuel there.
        fuel_per_bytes_translated: 0,
        fuel_per_bytes_validated: 0,
    });
}

/// Refuses a deadline or a limit of fuel that nobody could keep.
pub(crate) fn unsupported(what: &str) -> Error {
    let message =
        format!("{what} needs an engine that counts fuel: set `Config::consume_fuel(true)` on the engine");
    Error::new(ErrorKind::Unsupported, message)
}
