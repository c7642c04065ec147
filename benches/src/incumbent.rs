//! The incumbent: `wapc` with `wasmtime-provider`, with the features and settings that it has by default.

use std::rc::Rc;

use anyhow::Result;
use tokio::runtime::Runtime;
use wapc::{HostCallback, HostCallbackAsync, WapcHost, WapcHostAsync};
use wasmtime_provider::WasmtimeEngineProviderBuilder;

use crate::guest::{Guest, OPERATION, Payload};
use crate::measure::{AsyncCall, Family, SyncCall, Variant};

/// The rows of the incumbent, one of each mode.
///
/// # Errors
///
/// When the incumbent refuses the guest.
pub fn variants(guest: &Guest, runtime: &Rc<Runtime>) -> Result<Vec<Variant>> {
    let detail = "`call`";
    let provider = || WasmtimeEngineProviderBuilder::new().module_bytes(&guest.wasm);

    let callback: Box<HostCallback> = Box::new(|_id, _bd, _ns, _op, payload| Ok(payload.to_vec()));
    let host = WapcHost::new(Box::new(provider().build()?), Some(callback))?;

    // It owns what it is given, and so gives that back: the cheapest echo that this signature allows.
    let callback: Box<HostCallbackAsync> =
        Box::new(|_id, _bd, _ns, _op, payload| Box::pin(async move { Ok(payload) }));
    let host_async =
        runtime.block_on(WapcHostAsync::new(Box::new(provider().build_async()?), Some(callback)))?;

    Ok(vec![
        Variant::sync(Family::Incumbent, detail, Sync(host)),
        Variant::r#async(Family::Incumbent, detail, runtime, Async(host_async)),
    ])
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
