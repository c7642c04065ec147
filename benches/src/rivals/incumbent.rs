//! The incumbent: `wapc` with `wasmtime-provider`, with its default features and settings.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Result, ensure};
use tokio::runtime::Runtime;
use wapc::{HostCallback, HostCallbackAsync, WapcHost, WapcHostAsync};
use wasmtime::Engine;
use wasmtime_provider::WasmtimeEngineProviderBuilder;

use super::maker::Maker;
use super::pool::Pool;
use crate::guest::{Guest, OPERATION, Payload};
use crate::measure::{AsyncCall, Family, SyncCall, Variant};

/// Returns the incumbent's rows, one of each mode.
///
/// # Errors
///
/// When the incumbent refuses the guest.
pub fn variants(guest: &Guest, runtime: &Rc<Runtime>) -> Result<Vec<Variant>> {
    let detail = "`call`";
    let provider = || WasmtimeEngineProviderBuilder::new().module_bytes(&guest.wasm);

    let callback: Box<HostCallback> = Box::new(|_id, _bd, _ns, _op, payload| Ok(payload.to_vec()));
    let host = WapcHost::new(Box::new(provider().build()?), Some(callback))?;

    // The callback owns its payload and so returns it: the cheapest echo that this signature
    // allows.
    let callback: Box<HostCallbackAsync> =
        Box::new(|_id, _bd, _ns, _op, payload| Box::pin(async move { Ok(payload) }));
    let host_async =
        runtime.block_on(WapcHostAsync::new(Box::new(provider().build_async()?), Some(callback)))?;

    Ok(vec![
        Variant::sync(Family::Incumbent, detail, Sync(host)),
        Variant::r#async(Family::Incumbent, detail, runtime, Async(host_async)),
    ])
}

/// Makes a fresh instance for each call: a provider from the prepared one, and a host with it.
///
/// # Errors
///
/// When the incumbent refuses the guest.
pub fn fresh(wasm: &[u8], pool: Option<Pool>) -> Result<Maker> {
    let mut builder = WasmtimeEngineProviderBuilder::new().module_bytes(wasm);
    if let Some(pool) = pool {
        builder = builder.engine(Engine::new(&pool.config())?);
    }
    let pre = Arc::new(builder.build_pre()?);
    Ok(Arc::new(move || {
        let pre = Arc::clone(&pre);
        Ok(Box::new(move |payload| {
            let host = WapcHost::new(Box::new(pre.rehydrate(None)?), None)?;
            Ok(host.call(OPERATION, payload)?.len())
        }))
    }))
}

/// Makes an instance, calls it once and keeps it.
///
/// # Errors
///
/// When the incumbent refuses the guest.
pub fn kept(wasm: &[u8]) -> Result<impl Fn() -> Result<Box<dyn Any>> + use<>> {
    let pre = WasmtimeEngineProviderBuilder::new().module_bytes(wasm).build_pre()?;
    Ok(move || {
        let host = WapcHost::new(Box::new(pre.rehydrate(None)?), None)?;
        let answer = host.call(OPERATION, &[1; 16])?.len();
        ensure!(answer == 16, "an answer of {answer} bytes");
        Ok(Box::new(host) as Box<dyn Any>)
    })
}

/// Loads a module and prepares it for instantiation.
///
/// # Errors
///
/// When the incumbent refuses the guest.
pub fn load(wasm: &[u8]) -> Result<()> {
    drop(WasmtimeEngineProviderBuilder::new().module_bytes(wasm).build_pre()?);
    Ok(())
}

struct Sync(WapcHost);

impl SyncCall for Sync {
    fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let answer = self.0.call(OPERATION, payload.borrowed)?;
        Ok(read(&answer))
    }
}

struct Async(WapcHostAsync);

impl AsyncCall for Async {
    async fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let answer = self.0.call(OPERATION, payload.borrowed).await?;
        Ok(read(&answer))
    }
}
