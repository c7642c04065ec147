//! The limit on wasmi: the five imports of `limit.rs`, by hand on an interpreter.
//!
//! The engine's settings are those of Antiphon, except for fuel, which costs the interpreter time
//! in each block of guest code. The rows that all others are compared with count no fuel; the rows
//! below them do.

use std::any::Any;
use std::rc::Rc;

use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::runtime::Runtime;
use wasmi::errors::HostError;
use wasmi::{
    Caller, CompilationMode, Config, Engine, Error, Linker, Memory, Module, Store, TypedFunc,
    TypedResumableCall, Val,
};

use super::abi::{Fault, HostCallArguments, decode, handle, read, write};
use crate::guest::{Guest, OPERATION, Payload};
use crate::measure::{AsyncCall, Family, Mode, SyncCall, Variant};

/// Returns the limit's rows. The first row of each mode is the one that all others are compared
/// with.
///
/// # Errors
///
/// When wasmi refuses the guest.
pub fn variants(guest: &Guest, runtime: &Rc<Runtime>) -> Result<Vec<Variant>> {
    let metered = "the same, fuel counted";
    let mut variants = Vec::new();
    for (detail, fuel) in [("hand-written wasmi, fresh `Vec`", false), (metered, true)] {
        let host = Host::new(&guest.wasm, fuel, Mode::Sync)?;
        variants.push(Variant::sync(Family::Limit, detail, ToTheEnd(host)));
    }
    for (detail, fuel) in [("hand-written wasmi, resumable, fresh `Vec`", false), (metered, true)] {
        let host = Host::new(&guest.wasm, fuel, Mode::Async)?;
        variants.push(Variant::r#async(Family::Limit, detail, runtime, Resumable(host)));
    }
    Ok(variants)
}

/// Makes, by hand, one instance that all calls share, with or without fuel.
///
/// # Errors
///
/// When wasmi refuses the guest.
pub fn looped(wasm: &[u8], fuel: bool) -> Result<impl SyncCall + use<>> {
    Ok(ToTheEnd(Host::new(wasm, fuel, Mode::Sync)?))
}

/// Makes an instance by hand, calls it once and keeps it. All instances are of one module.
///
/// # Errors
///
/// When wasmi refuses the guest.
pub fn kept(wasm: &[u8]) -> Result<impl Fn() -> Result<Box<dyn Any>> + use<>> {
    let (module, linker) = prepare(wasm, false, Mode::Sync)?;
    let payload = Payload::new(16, 1);
    Ok(move || {
        let mut host = ToTheEnd(Host::start(&module, &linker, false)?);
        let answer = host.call(&payload, |answer| answer.len())?;
        ensure!(answer == 16, "an answer of {answer} bytes");
        Ok(Box::new(host) as Box<dyn Any>)
    })
}

impl HostError for Fault {}

/// What the imports share with the guest's caller.
#[derive(Default)]
struct State {
    /// `None` only until the guest is instantiated.
    memory: Option<Memory>,
    payload: &'static [u8],
    response: Vec<u8>,
    host_response: Vec<u8>,
    /// The host call that the guest is suspended in.
    pending: Option<HostCallArguments>,
}

/// A guest that is ready to be called.
struct Host {
    store: Store<State>,
    guest_call: TypedFunc<(u32, u32), u32>,
    fuel: bool,
}

/// Translates the guest and defines the imports.
fn prepare(wasm: &[u8], fuel: bool, mode: Mode) -> Result<(Module, Linker<State>)> {
    let mut config = Config::default();
    config
        .consume_fuel(fuel)
        .compilation_mode(CompilationMode::LazyTranslation)
        .ignore_custom_sections(true)
        .set_max_recursion_depth(20_000)
        .set_max_stack_height(1 << 20)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false);
    let engine = Engine::new(&config);
    let module = Module::new(&engine, wasm)?;
    let mut linker = Linker::new(&engine);
    linker.func_wrap("wapc", "__guest_request", guest_request)?;
    linker.func_wrap("wapc", "__guest_response", guest_response)?;
    linker.func_wrap("wapc", "__host_response_len", host_response_len)?;
    linker.func_wrap("wapc", "__host_response", host_response)?;
    // Real guests import these too, but no guest calls them in these measurements.
    linker.func_wrap("wapc", "__host_error_len", || 0_u32)?;
    linker.func_wrap("wapc", "__host_error", |_: u32| {})?;
    linker.func_wrap("wapc", "__guest_error", |_: u32, _: u32| {})?;
    linker.func_wrap("wapc", "__console_log", |_: u32, _: u32| {})?;
    match mode {
        Mode::Sync => linker.func_wrap("wapc", "__host_call", host_call)?,
        Mode::Async => linker.func_wrap("wapc", "__host_call", suspend)?,
    };
    Ok((module, linker))
}

impl Host {
    fn new(wasm: &[u8], fuel: bool, mode: Mode) -> Result<Self> {
        let (module, linker) = prepare(wasm, fuel, mode)?;
        Self::start(&module, &linker, fuel)
    }

    fn start(module: &Module, linker: &Linker<State>, fuel: bool) -> Result<Self> {
        let mut store = Store::new(module.engine(), State::default());
        if fuel {
            store.set_fuel(u64::MAX)?;
        }
        let instance = linker.instantiate_and_start(&mut store, module)?;
        store.data_mut().memory = instance.get_memory(&store, "memory");
        if let Some(init) = instance.get_func(&store, "wapc_init") {
            init.typed::<(), ()>(&store)?.call(&mut store, ())?;
        }
        let guest_call = instance.get_typed_func(&store, "__guest_call")?;
        Ok(Self { store, guest_call, fuel })
    }

    /// Prepares a call and returns its arguments.
    fn begin(&mut self, payload: &Payload) -> Result<(u32, u32)> {
        if self.fuel {
            self.store.set_fuel(u64::MAX)?;
        }
        self.store.data_mut().payload = payload.borrowed;
        Ok((u32::try_from(OPERATION.len())?, u32::try_from(payload.borrowed.len())?))
    }

    /// Takes the answer.
    fn finish(&mut self, succeeded: u32) -> Result<Vec<u8>> {
        ensure!(succeeded != 0, "the guest failed");
        Ok(std::mem::take(&mut self.store.data_mut().response))
    }

    /// Awaits the host's answer to the pending host call.
    async fn answer(&mut self) -> Result<()> {
        let memory = self.store.data().memory.context("a guest without memory")?;
        let (memory, state) = memory.data_and_store_mut(&mut self.store);
        let arguments = state.pending.take().context("the guest failed")?;
        let (names, payload) = decode(memory, arguments)?;
        state.host_response = async { handle(names, payload) }.await;
        Ok(())
    }
}

/// Calls with `call`.
struct ToTheEnd(Host);

impl SyncCall for ToTheEnd {
    fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let lengths = self.0.begin(payload)?;
        let succeeded = self.0.guest_call.call(&mut self.0.store, lengths)?;
        Ok(read(&self.0.finish(succeeded)?))
    }
}

/// Calls with `call_resumable`: a guest that waits for its host is suspended and resumed.
struct Resumable(Host);

impl AsyncCall for Resumable {
    async fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let lengths = self.0.begin(payload)?;
        let mut called = self.0.guest_call.call_resumable(&mut self.0.store, lengths)?;
        loop {
            called = match called {
                TypedResumableCall::Finished(succeeded) => return Ok(read(&self.0.finish(succeeded)?)),
                TypedResumableCall::HostTrap(left) => {
                    self.0.answer().await?;
                    left.resume(&mut self.0.store, &[Val::I32(1)])?
                }
                TypedResumableCall::OutOfFuel(_) => return Err(anyhow!("the guest ran out of fuel")),
            };
        }
    }
}

/// Returns the guest's memory and the state, side by side.
fn parts<'a>(caller: &'a mut Caller<'_, State>) -> Result<(&'a mut [u8], &'a mut State), Error> {
    let memory = caller.data().memory.ok_or_else(|| Error::host(Fault::OutOfBounds))?;
    Ok(memory.data_and_store_mut(caller))
}

fn guest_request(mut caller: Caller<'_, State>, op_ptr: u32, msg_ptr: u32) -> Result<(), Error> {
    let (memory, state) = parts(&mut caller)?;
    write(memory, msg_ptr, state.payload).map_err(Error::host)?;
    write(memory, op_ptr, OPERATION.as_bytes()).map_err(Error::host)
}

fn guest_response(mut caller: Caller<'_, State>, ptr: u32, len: u32) -> Result<(), Error> {
    let (memory, state) = parts(&mut caller)?;
    state.response = read(memory, ptr, len).map_err(Error::host)?.to_vec();
    Ok(())
}

fn host_response_len(caller: Caller<'_, State>) -> u32 {
    // The host answers with the guest's own payload, so its length fits.
    caller.data().host_response.len() as u32
}

fn host_response(mut caller: Caller<'_, State>, ptr: u32) -> Result<(), Error> {
    let (memory, state) = parts(&mut caller)?;
    write(memory, ptr, &state.host_response).map_err(Error::host)
}

#[expect(clippy::too_many_arguments, reason = "waPC's own signature")]
fn host_call(
    mut caller: Caller<'_, State>,
    bd_ptr: u32,
    bd_len: u32,
    ns_ptr: u32,
    ns_len: u32,
    op_ptr: u32,
    op_len: u32,
    msg_ptr: u32,
    msg_len: u32,
) -> Result<u32, Error> {
    let (memory, state) = parts(&mut caller)?;
    let arguments = (bd_ptr, bd_len, ns_ptr, ns_len, op_ptr, op_len, msg_ptr, msg_len);
    let (names, payload) = decode(memory, arguments).map_err(Error::host)?;
    state.host_response = handle(names, payload);
    Ok(1)
}

/// Suspends the guest, so that its caller can await the host.
#[expect(clippy::too_many_arguments, reason = "waPC's own signature")]
fn suspend(
    mut caller: Caller<'_, State>,
    bd_ptr: u32,
    bd_len: u32,
    ns_ptr: u32,
    ns_len: u32,
    op_ptr: u32,
    op_len: u32,
    msg_ptr: u32,
    msg_len: u32,
) -> Result<u32, Error> {
    caller.data_mut().pending = Some((bd_ptr, bd_len, ns_ptr, ns_len, op_ptr, op_len, msg_ptr, msg_len));
    Err(Error::host(Fault::Suspended))
}
