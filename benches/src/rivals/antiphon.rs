//! Antiphon: `antiphon` with `antiphon-wasmtime` or `antiphon-wasmi`, with its default limits and
//! deadlines, by each way to call.

use std::any::Any;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use antiphon::{
    Bytes, HostCall, HostCallError, HostHandler, HostHandlerAsync, HostRouter, Isolation, Request, Route,
    WapcHost, WapcHostAsync, async_trait,
};
use antiphon_pool::HostPool;
use antiphon_wasmtime::{ModuleCache, WasmtimeEngineProviderBuilder};
use anyhow::{Error, Result, ensure};
use tokio::runtime::Runtime;

use super::maker::{self, Kind, Maker};
use crate::engine::Engine;
use crate::guest::{Guest, OPERATION, Payload};
use crate::measure::turns::Contender;
use crate::measure::{AsyncCall, Family, SyncCall, Variant};

/// Returns Antiphon's rows on one engine.
///
/// # Errors
///
/// When Antiphon refuses the guest.
pub fn variants(engine: Engine, guest: &Guest, runtime: &Rc<Runtime>) -> Result<Vec<Variant>> {
    let owned = "`call_with`, owned `Bytes`";
    let into = "`call_into`, buffer reused";
    let cooperative = || host_async(engine, guest, runtime, true);
    let straight = || host_async(engine, guest, runtime, false);
    let mut variants = vec![
        Variant::sync(Family::Antiphon, "`call`", Call(host(engine, &guest.wasm)?)),
        Variant::sync(Family::Antiphon, owned, CallWith(host(engine, &guest.wasm)?)),
        Variant::sync(
            Family::Antiphon,
            into,
            CallInto { host: host(engine, &guest.wasm)?, answer: Vec::new() },
        ),
        Variant::sync(
            Family::Antiphon,
            "`call_ref`, answer read in place",
            CallRef(host(engine, &guest.wasm)?),
        ),
        Variant::sync(
            Family::Antiphon,
            "`call_ref`, owned `Bytes`, answer read in place",
            CallRefWith(host(engine, &guest.wasm)?),
        ),
        Variant::r#async(Family::Antiphon, "`call`, cooperative", runtime, Call(cooperative()?)),
        Variant::r#async(
            Family::Antiphon,
            "`call_with`, owned `Bytes`, cooperative",
            runtime,
            CallWith(cooperative()?),
        ),
        Variant::r#async(Family::Antiphon, "`call`, straight", runtime, Call(straight()?)),
        Variant::r#async(
            Family::Antiphon,
            "`call_with`, owned `Bytes`, straight",
            runtime,
            CallWith(straight()?),
        ),
        Variant::r#async(
            Family::Antiphon,
            "`HostPool::call`, cooperative",
            runtime,
            Call(pool(engine, guest, runtime, true)?),
        ),
        Variant::r#async(
            Family::Antiphon,
            "`HostPool::call`, straight",
            runtime,
            Call(pool(engine, guest, runtime, false)?),
        ),
    ];
    if guest.calls_host {
        for (routes, detail) in
            [(8, "`call`, `HostRouter` of 8 routes"), (1000, "`call`, `HostRouter` of 1,000 routes")]
        {
            let provider = engine.factory(&guest.wasm, true)?.provider().map_err(Error::from_boxed)?;
            let host = WapcHost::builder(provider).handler(router(routes, Route::handler)).build()?;
            variants.push(Variant::sync(Family::Antiphon, detail, Call(host)));
            let provider = engine.factory(&guest.wasm, true)?.provider_async().map_err(Error::from_boxed)?;
            let builder = WapcHostAsync::builder(provider).handler(router(routes, Route::handler_async));
            let host = runtime.block_on(builder.build())?;
            variants.push(Variant::r#async(Family::Antiphon, detail, runtime, Call(host)));
        }
    }
    Ok(variants)
}

/// Returns a router of `routes` routes, of which only the last serves the guest's host call, by its
/// binding. The first seven share parts of the host call's names, so the router has to look them up
/// first.
fn router(routes: usize, serve: fn(Route, Echo) -> Route) -> HostRouter {
    let near = [
        ["bench", "antiphon", "x"],
        ["x", "x", "echo"],
        ["bench", "x", "*"],
        ["x", "antiphon", "*"],
        ["bench", "*", "x"],
        ["x", "*", "echo"],
        ["*", "antiphon", "x"],
    ];
    let far = (near.len()..).map(|number| {
        let number = number.to_string();
        [number.clone(), number.clone(), number]
    });
    let others = near.map(|names| names.map(str::to_owned)).into_iter().chain(far).take(routes - 1);
    let all = others.chain([["bench", "*", "*"].map(str::to_owned)]);
    all.fold(HostRouter::new(), |router, [binding, namespace, operation]| {
        let route = Route::any().binding(&binding).namespace(&namespace).operation(&operation);
        router.route(serve(route, Echo))
    })
}

/// Builds a host whose handler echoes.
fn host(engine: Engine, wasm: &[u8]) -> Result<WapcHost> {
    let provider = engine.factory(wasm, true)?.provider().map_err(Error::from_boxed)?;
    Ok(WapcHost::builder(provider).handler(Echo).build()?)
}

/// Builds an asynchronous host. On wasmtime, a straight guest that cannot suspend runs on the
/// caller's stack; a guest with host calls runs on a fiber even if it is straight.
fn host_async(engine: Engine, guest: &Guest, runtime: &Runtime, cooperative: bool) -> Result<WapcHostAsync> {
    let provider = engine.factory(&guest.wasm, cooperative)?.provider_async().map_err(Error::from_boxed)?;
    Ok(runtime.block_on(WapcHostAsync::builder(provider).handler(Echo).build())?)
}

/// Builds a pool of two instances of such hosts.
fn pool(engine: Engine, guest: &Guest, runtime: &Runtime, cooperative: bool) -> Result<HostPool> {
    let factory = engine.factory(&guest.wasm, cooperative)?;
    Ok(runtime.block_on(HostPool::builder(factory).max(2).handler(Echo).build())?)
}

/// Answers with a copy of the payload, which lies in the guest's memory, as the limit's handler
/// does.
struct Echo;

impl HostHandler for Echo {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        Ok(Bytes::copy_from_slice(call.payload))
    }
}

#[async_trait]
impl HostHandlerAsync for Echo {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        Ok(Bytes::copy_from_slice(call.payload))
    }
}

/// `call`: a borrowed payload, a fresh `Vec`.
struct Call<H>(H);

impl SyncCall for Call<WapcHost> {
    fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let answer = self.0.call(OPERATION, payload.borrowed)?;
        Ok(read(&answer))
    }
}

impl AsyncCall for Call<WapcHostAsync> {
    async fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let answer = self.0.call(OPERATION, payload.borrowed).await?;
        Ok(read(&answer))
    }
}

impl AsyncCall for Call<HostPool> {
    async fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let answer = self.0.call(OPERATION, payload.borrowed).await?;
        Ok(read(&answer))
    }
}

/// `call_with`: an owned payload (a clone of a `Bytes`, at the variant's own cost), a fresh `Vec`.
struct CallWith<H>(H);

impl SyncCall for CallWith<WapcHost> {
    fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let response = self.0.call_with(Request::new(OPERATION, payload.owned.clone()))?;
        Ok(read(&response.payload))
    }
}

impl AsyncCall for CallWith<WapcHostAsync> {
    async fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let response = self.0.call_with(Request::new(OPERATION, payload.owned.clone())).await?;
        Ok(read(&response.payload))
    }
}

/// `call_into`: a borrowed payload, a reused buffer.
struct CallInto {
    host: WapcHost,
    answer: Vec<u8>,
}

impl SyncCall for CallInto {
    fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        self.answer.clear();
        self.host.call_into(OPERATION, payload.borrowed, &mut self.answer)?;
        Ok(read(&self.answer))
    }
}

/// `call_ref`: a borrowed payload, an answer that is never copied.
struct CallRef(WapcHost);

impl SyncCall for CallRef {
    fn call<R>(&mut self, payload: &Payload, read: impl FnMut(&[u8]) -> R) -> Result<R> {
        Ok(self.0.call_ref(Request::new(OPERATION, payload.borrowed), read)?)
    }
}

/// `call_ref`: an owned payload, an answer that is never copied.
struct CallRefWith(WapcHost);

impl SyncCall for CallRefWith {
    fn call<R>(&mut self, payload: &Payload, read: impl FnMut(&[u8]) -> R) -> Result<R> {
        Ok(self.0.call_ref(Request::new(OPERATION, payload.owned.clone()), read)?)
    }
}

/// Makes a fresh instance for each call: a provider from the factory, and a host with it.
///
/// # Errors
///
/// When Antiphon refuses the guest.
pub fn fresh(wasm: &[u8]) -> Result<Vec<maker::Variant>> {
    let mut variants = Vec::new();
    for engine in Engine::ALL {
        let factory = engine.factory(wasm, true)?;
        let maker: Maker = Arc::new(move || {
            let factory = Arc::clone(&factory);
            Ok(Box::new(move |payload| {
                let host = WapcHost::new(factory.provider().map_err(Error::from_boxed)?, None)?;
                Ok(host.call(OPERATION, payload)?.len())
            }))
        });
        let label = format!("antiphon on {}, a host for each call", engine.name());
        variants.push(maker::Variant::new(Kind::Antiphon, label, maker));
    }
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(wasm);
    let factory = builder.isolation(Isolation::PerCall).factory()?;
    let maker: Maker = Arc::new(move || {
        let host = WapcHost::new(factory.provider().map_err(Error::from_boxed)?, None)?;
        Ok(Box::new(move |payload| Ok(host.call(OPERATION, payload)?.len())))
    });
    let label = "antiphon on wasmtime, isolation per call";
    variants.push(maker::Variant::new(Kind::Antiphon, label, maker));
    // One pool for all threads, of which there are at most two.
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(wasm);
    let pool = HostPool::builder(builder.isolation(Isolation::PerCall).factory()?).max(2);
    let pool = antiphon::block_on(pool.build())?;
    let maker: Maker = Arc::new(move || {
        let pool = pool.clone();
        Ok(Box::new(move |payload| Ok(pool.call_blocking(OPERATION, payload)?.len())))
    });
    let label = "antiphon on wasmtime, `HostPool` with isolation per call";
    variants.push(maker::Variant::new(Kind::Antiphon, label, maker));
    Ok(variants)
}

/// Returns a host on each engine, which all calls share.
///
/// # Errors
///
/// When Antiphon refuses the guest.
pub fn looped(wasm: &[u8]) -> Result<Vec<(Engine, &'static str, impl SyncCall + use<>)>> {
    Ok(vec![
        (Engine::Wasmtime, "antiphon on wasmtime", Call(host(Engine::Wasmtime, wasm)?)),
        (Engine::Wasmi, "antiphon on wasmi", Call(host(Engine::Wasmi, wasm)?)),
    ])
}

/// Makes a host, calls it once and keeps it.
///
/// # Errors
///
/// When Antiphon refuses the guest.
pub fn kept(engine: Engine, wasm: &[u8]) -> Result<impl Fn() -> Result<Box<dyn Any>> + use<>> {
    let factory = engine.factory(wasm, true)?;
    Ok(move || {
        let host = WapcHost::new(factory.provider().map_err(Error::from_boxed)?, None)?;
        let answer = host.call(OPERATION, &[1; 16])?.len();
        ensure!(answer == 16, "an answer of {answer} bytes");
        Ok(Box::new(host) as Box<dyn Any>)
    })
}

/// Returns a module from a `ModuleCache` in a directory of its own.
///
/// # Errors
///
/// When the directory cannot be used.
pub fn cached(wasm: &Arc<[u8]>, directory: &Path) -> Result<Contender> {
    let (wasm, cache) = (Arc::clone(wasm), ModuleCache::open(directory)?);
    Ok(Contender::each("kept, antiphon, `ModuleCache`", move || {
        drop(WasmtimeEngineProviderBuilder::new().module_bytes(&wasm).cache(cache.clone()).factory()?);
        Ok(())
    }))
}
