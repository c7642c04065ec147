//! Makes guest calls in batches of equal size, for valgrind to count. `cargo xtask instructions`
//! builds and runs this program, and knows the name of [`batch`]. Without valgrind it only shows
//! that it works.
//!
//! It prints a line per batch: engine, mode and call.

#![forbid(unsafe_code)]

mod router;

use std::sync::Arc;

use antiphon::{EngineProviderFactory, HostCallback, HostCallbackAsync, WapcHost, WapcHostAsync};
use antiphon_wasmi::WasmiEngineProviderBuilder;
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;
use anyhow::{Context, Error, Result, ensure};
use pooled::{Pooled, block_on};

/// The number of calls in a batch.
const CALLS: u32 = 64;

/// The number of batches of a call. The ticker runs during some of them, so the runner uses the
/// best.
const BATCHES: u32 = 5;

/// The operation of every call.
const OPERATION: &str = "echo";

/// The calls: name, guest, and size of the payload in bytes.
const TARGETS: [(&str, &str, usize); 3] = [
    ("null", ECHO, 0),
    ("echo-1-kib", ECHO, 1 << 10),
    ("host-call", include_str!("../../../benches/guests/host.wat"), 0),
];

/// The guest of the null call.
const ECHO: &str = include_str!("../../../benches/guests/echo.wat");

/// Makes a factory for a guest in text format; the second argument says whether the guest is
/// cooperative.
type MakeFactory = fn(&str, bool) -> Result<Arc<dyn EngineProviderFactory>>;

const ENGINES: [(&str, MakeFactory); 2] = [
    ("wasmtime", |guest, cooperative| {
        let builder = WasmtimeEngineProviderBuilder::new().module_bytes(guest.as_bytes());
        Ok(builder.cooperative(cooperative).factory()?)
    }),
    ("wasmi", |guest, cooperative| {
        let builder = WasmiEngineProviderBuilder::new().module_bytes(guest.as_bytes());
        Ok(builder.cooperative(cooperative).factory()?)
    }),
];

/// The asynchronous modes, and whether their guests are cooperative.
const MODES: [(&str, bool); 2] = [("straight", false), ("cooperative", true)];

fn main() -> Result<()> {
    let payload: Vec<u8> = (0_u8..=255).cycle().take(1 << 10).collect();
    for (engine, factory) in ENGINES {
        for (call, guest, size) in TARGETS {
            let payload = payload.get(..size).context("the payload is too short")?;

            let callback: Box<HostCallback> = Box::new(|_id, _bd, _ns, _op, payload| Ok(payload.to_vec()));
            let provider = factory(guest, true)?.provider().map_err(Error::from_boxed)?;
            let host = WapcHost::new(provider, Some(callback))?;
            count(&format!("{engine} sync {call}"), &host, payload)?;

            for (mode, cooperative) in MODES {
                let callback: Box<HostCallbackAsync> =
                    Box::new(|_id, _bd, _ns, _op, payload| Box::pin(async move { Ok(payload) }));
                let provider = factory(guest, cooperative)?.provider_async().map_err(Error::from_boxed)?;
                let host = block_on(WapcHostAsync::new(provider, Some(callback)))?;
                count_async(&format!("{engine} {mode} {call}"), &host, payload)?;
            }
        }
        for (mode, cooperative) in MODES {
            let pool = Pooled::new(factory(ECHO, cooperative)?)?;
            measure(&format!("{engine} pool-{mode} null"), &[], || pool.call(OPERATION, &[]))?;
        }
        let pool = Pooled::new(factory(ECHO, true)?)?;
        measure(&format!("{engine} pool-blocking null"), &[], || pool.call_blocking(OPERATION, &[]))?;
        router::count(engine, &*factory(include_str!("../../../benches/guests/host.wat"), true)?, &[])?;
    }
    Ok(())
}

/// Counts calls of a host. All of them go through this one function, because two functions would be
/// compiled, and therefore counted, differently.
fn count(name: &str, host: &WapcHost, payload: &[u8]) -> Result<()> {
    measure(name, payload, || Ok(host.call(OPERATION, payload)?))
}

/// Counts calls of an asynchronous host.
fn count_async(name: &str, host: &WapcHostAsync, payload: &[u8]) -> Result<()> {
    measure(name, payload, || Ok(block_on(host.call(OPERATION, payload))?))
}

/// Warms a call up, then runs its batches.
fn measure(name: &str, payload: &[u8], mut call: impl FnMut() -> Result<Vec<u8>>) -> Result<()> {
    for _ in 0..CALLS {
        ensure!(call()? == payload, "{name}: the answer is not the payload");
    }
    let mut counted = || {
        ensure!(call()?.len() == payload.len(), "{name}: the answer has another length");
        Ok(())
    };
    for _ in 0..BATCHES {
        batch(&mut counted)?;
        println!("{name} {CALLS}");
    }
    Ok(())
}

/// Makes the calls of a batch. Valgrind counts this function by its name, so it must be neither
/// generic nor inlined.
#[inline(never)]
fn batch(call: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    for _ in 0..CALLS {
        call()?;
    }
    Ok(())
}
