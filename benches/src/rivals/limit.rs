//! The limit: waPC's five imports, written by hand on wasmtime without a host library.
//!
//! A call is one typed call, one checked copy in, and one checked copy out into a fresh `Vec`.
//! Handles are cached in the store. There is no lock, budget, deadline, isolation between calls, or
//! error text. What is left is the cost of waPC and wasmtime themselves.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Result, ensure};
use tokio::runtime::Runtime;
use wasmtime::{Caller, Config, Engine, Instance, Linker, Memory, Module, Store, TypedFunc};

use super::abi::{Fault, HostCallArguments, decode, handle, read, write};
use super::maker::Maker;
use super::pool::Pool;
use crate::guest::{Guest, OPERATION, Payload};
use crate::measure::{AsyncCall, Family, Mode, SyncCall, Variant};

/// Returns the limit's rows. The first row of each mode is the one that all others are compared
/// with.
///
/// # Errors
///
/// When wasmtime refuses the guest.
pub fn variants(guest: &Guest, runtime: &Rc<Runtime>) -> Result<Vec<Variant>> {
    let fresh = "hand-written wasmtime, fresh `Vec`";
    let armed = "the same, epochs armed";
    let mut variants = Vec::new();
    for (detail, epochs) in [(fresh, false), (armed, true)] {
        let host = Host::sync(&guest.wasm, epochs)?;
        variants.push(Variant::sync(Family::Limit, detail, Straight(host)));
    }
    for (detail, epochs) in [(fresh, false), (armed, true)] {
        let host = runtime.block_on(Host::r#async(&guest.wasm, epochs))?;
        variants.push(Variant::r#async(Family::Limit, detail, runtime, OnFiber(host)));
    }
    variants.push(Variant::sync(Family::Limit, ONE_COPY, OneCopy(Vec::new())));
    Ok(variants)
}

/// The row that no host which copies can beat: no guest at all.
pub const ONE_COPY: &str = "one memcpy of the payload, no guest";

/// Copies the payload into a reused buffer.
struct OneCopy(Vec<u8>);

impl SyncCall for OneCopy {
    fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        self.0.clear();
        self.0.extend_from_slice(payload.borrowed);
        Ok(read(&self.0))
    }
}

/// What the imports share with the guest's caller.
#[derive(Default)]
struct State {
    /// `None` only until the guest is instantiated.
    memory: Option<Memory>,
    payload: &'static [u8],
    response: Vec<u8>,
    host_response: Vec<u8>,
}

/// A guest that is ready to be called.
struct Host {
    store: Store<State>,
    guest_call: TypedFunc<(u32, u32), u32>,
    epochs: bool,
}

impl Host {
    fn sync(wasm: &[u8], epochs: bool) -> Result<Self> {
        let (mut store, module, linker) = prepare(wasm, Config::new(), epochs, Mode::Sync)?;
        let instance = linker.instantiate(&mut store, &module)?;
        Self::new(store, &instance, epochs)
    }

    async fn r#async(wasm: &[u8], epochs: bool) -> Result<Self> {
        let (mut store, module, linker) = prepare(wasm, Config::new(), epochs, Mode::Async)?;
        let instance = linker.instantiate_async(&mut store, &module).await?;
        Self::new(store, &instance, epochs)
    }

    fn new(mut store: Store<State>, instance: &Instance, epochs: bool) -> Result<Self> {
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        let guest_call = instance.get_typed_func(&mut store, "__guest_call")?;
        Ok(Self { store, guest_call, epochs })
    }

    /// Prepares a call and returns its arguments.
    fn begin(&mut self, payload: &Payload) -> Result<(u32, u32)> {
        if self.epochs {
            self.store.set_epoch_deadline(1);
        }
        self.store.data_mut().payload = payload.borrowed;
        Ok((u32::try_from(OPERATION.len())?, u32::try_from(payload.borrowed.len())?))
    }

    /// Takes the answer.
    fn finish(&mut self, succeeded: u32) -> Result<Vec<u8>> {
        ensure!(succeeded != 0, "the guest failed");
        Ok(std::mem::take(&mut self.store.data_mut().response))
    }
}

/// Makes, by hand, a fresh store and instance for each call, of one pre-instantiated module.
///
/// # Errors
///
/// When wasmtime refuses the guest.
pub fn fresh(wasm: &[u8], pool: Option<Pool>) -> Result<Maker> {
    let config = pool.map_or_else(Config::new, Pool::config);
    let (store, module, linker) = prepare(wasm, config, false, Mode::Sync)?;
    let (engine, pre) = (store.engine().clone(), linker.instantiate_pre(&module)?);
    Ok(Arc::new(move || {
        let (engine, pre) = (engine.clone(), pre.clone());
        Ok(Box::new(move |payload| {
            let mut store = Store::new(&engine, State::default());
            let instance = pre.instantiate(&mut store)?;
            init(&mut store, &instance)?;
            let mut host = Host::new(store, &instance, false)?;
            host.store.data_mut().payload = payload;
            let lengths = (u32::try_from(OPERATION.len())?, u32::try_from(payload.len())?);
            let succeeded = host.guest_call.call(&mut host.store, lengths)?;
            Ok(host.finish(succeeded)?.len())
        }))
    }))
}

/// Makes, by hand, one instance that all calls share, with or without epochs, or with fuel.
///
/// # Errors
///
/// When wasmtime refuses the guest.
pub fn looped(wasm: &[u8], interruption: Interruption) -> Result<impl SyncCall + use<>> {
    let mut config = Config::new();
    config.consume_fuel(interruption == Interruption::Fuel);
    let epochs = interruption == Interruption::Epochs;
    let (mut store, module, linker) = prepare(wasm, config, epochs, Mode::Sync)?;
    if interruption == Interruption::Fuel {
        store.set_fuel(u64::MAX)?;
    }
    let instance = linker.instantiate(&mut store, &module)?;
    init(&mut store, &instance)?;
    Ok(Straight(Host::new(store, &instance, epochs)?))
}

/// Calls `wapc_init`, in which real guests register their operations.
fn init(store: &mut Store<State>, instance: &Instance) -> Result<()> {
    store.data_mut().memory = instance.get_memory(&mut *store, "memory");
    if let Some(init) = instance.get_func(&mut *store, "wapc_init") {
        init.typed::<(), ()>(&*store)?.call(store, ())?;
    }
    Ok(())
}

/// How a guest that never ends could be ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interruption {
    /// Not at all.
    None,
    /// The guest checks the epoch.
    Epochs,
    /// The guest counts fuel.
    Fuel,
}

/// Makes an instance by hand, calls it once and keeps it.
///
/// # Errors
///
/// When wasmtime refuses the guest.
pub fn kept(wasm: &[u8]) -> Result<impl Fn() -> Result<Box<dyn Any>> + use<>> {
    let (store, module, linker) = prepare(wasm, Config::new(), false, Mode::Sync)?;
    let (engine, pre) = (store.engine().clone(), linker.instantiate_pre(&module)?);
    let payload = Payload::new(16, 1);
    Ok(move || {
        let mut store = Store::new(&engine, State::default());
        let instance = pre.instantiate(&mut store)?;
        init(&mut store, &instance)?;
        let mut host = Straight(Host::new(store, &instance, false)?);
        let answer = host.call(&payload, |answer| answer.len())?;
        ensure!(answer == 16, "an answer of {answer} bytes");
        Ok(Box::new(host) as Box<dyn Any>)
    })
}

/// Calls on the caller's stack.
struct Straight(Host);

impl SyncCall for Straight {
    fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let lengths = self.0.begin(payload)?;
        let succeeded = self.0.guest_call.call(&mut self.0.store, lengths)?;
        Ok(read(&self.0.finish(succeeded)?))
    }
}

/// Calls with `call_async`.
struct OnFiber(Host);

impl AsyncCall for OnFiber {
    async fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let lengths = self.0.begin(payload)?;
        let succeeded = self.0.guest_call.call_async(&mut self.0.store, lengths).await?;
        Ok(read(&self.0.finish(succeeded)?))
    }
}

/// Compiles the guest and defines the imports. All imports are synchronous, except that
/// `__host_call` awaits its handler in async mode.
fn prepare(
    wasm: &[u8],
    mut config: Config,
    epochs: bool,
    mode: Mode,
) -> Result<(Store<State>, Module, Linker<State>)> {
    config.epoch_interruption(epochs);
    let engine = Engine::new(&config)?;
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
        Mode::Async => linker.func_wrap_async("wapc", "__host_call", |caller, arguments| {
            Box::new(host_call_async(caller, arguments))
        })?,
    };
    let mut store = Store::new(&engine, State::default());
    if epochs {
        store.set_epoch_deadline(1);
    }
    Ok((store, module, linker))
}

/// Returns the guest's memory and the state, side by side.
fn parts<'a>(caller: &'a mut Caller<'_, State>) -> Result<(&'a mut [u8], &'a mut State), Fault> {
    let memory = caller.data().memory.ok_or(Fault::OutOfBounds)?;
    Ok(memory.data_and_store_mut(caller))
}

fn guest_request(mut caller: Caller<'_, State>, op_ptr: u32, msg_ptr: u32) -> wasmtime::Result<()> {
    let (memory, state) = parts(&mut caller)?;
    write(memory, msg_ptr, state.payload)?;
    write(memory, op_ptr, OPERATION.as_bytes())?;
    Ok(())
}

fn guest_response(mut caller: Caller<'_, State>, ptr: u32, len: u32) -> wasmtime::Result<()> {
    let (memory, state) = parts(&mut caller)?;
    state.response = read(memory, ptr, len)?.to_vec();
    Ok(())
}

fn host_response_len(caller: Caller<'_, State>) -> u32 {
    // The host answers with the guest's own payload, so its length fits.
    caller.data().host_response.len() as u32
}

fn host_response(mut caller: Caller<'_, State>, ptr: u32) -> wasmtime::Result<()> {
    let (memory, state) = parts(&mut caller)?;
    write(memory, ptr, &state.host_response)?;
    Ok(())
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
) -> wasmtime::Result<u32> {
    let (memory, state) = parts(&mut caller)?;
    let (names, payload) =
        decode(memory, (bd_ptr, bd_len, ns_ptr, ns_len, op_ptr, op_len, msg_ptr, msg_len))?;
    state.host_response = handle(names, payload);
    Ok(1)
}

async fn host_call_async(
    mut caller: Caller<'_, State>,
    arguments: HostCallArguments,
) -> wasmtime::Result<u32> {
    let (memory, state) = parts(&mut caller)?;
    let (names, payload) = decode(memory, arguments)?;
    state.host_response = async { handle(names, payload) }.await;
    Ok(1)
}
