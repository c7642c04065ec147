//! Makes guest calls in batches of the same size, for valgrind to count. `cargo xtask instructions` builds this, runs it
//! and knows the name of [`batch`]; alone it only shows that it works.
//!
//! For each batch there is a line on stdout: engine, mode and call.

#![forbid(unsafe_code)]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use antiphon::{EngineProviderFactory, HostCallback, HostCallbackAsync, WapcHost, WapcHostAsync};
use antiphon_wasmi::WasmiEngineProviderBuilder;
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;
use anyhow::{Context as _, Error, Result, ensure};

/// Calls in a batch.
const CALLS: u32 = 64;

/// Batches of a call. The ticker falls into some of them, so the runner takes the best.
const BATCHES: u32 = 5;

/// The operation of every call.
const OPERATION: &str = "echo";

/// A call: its name, its guest, the bytes of its payload.
const TARGETS: [(&str, &str, usize); 3] = [
    ("null", include_str!("../../../benches/guests/echo.wat"), 0),
    ("echo-1-kib", include_str!("../../../benches/guests/echo.wat"), 1 << 10),
    ("host-call", include_str!("../../../benches/guests/host.wat"), 0),
];

/// Makes a factory of a guest's text; the second argument says whether it is to be cooperative.
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

fn main() -> Result<()> {
    let payload: Vec<u8> = (0_u8..=255).cycle().take(1 << 10).collect();
    for (engine, factory) in ENGINES {
        for (call, guest, size) in TARGETS {
            let payload = payload.get(..size).context("the payload is too short")?;

            let callback: Box<HostCallback> = Box::new(|_id, _bd, _ns, _op, payload| Ok(payload.to_vec()));
            let provider = factory(guest, true)?.provider().map_err(Error::from_boxed)?;
            let host = WapcHost::new(provider, Some(callback))?;
            measure(&format!("{engine} sync {call}"), payload, || Ok(host.call(OPERATION, payload)?))?;

            for (mode, cooperative) in [("straight", false), ("cooperative", true)] {
                let callback: Box<HostCallbackAsync> =
                    Box::new(|_id, _bd, _ns, _op, payload| Box::pin(async move { Ok(payload) }));
                let provider = factory(guest, cooperative)?.provider_async().map_err(Error::from_boxed)?;
                let host = block_on(WapcHostAsync::new(provider, Some(callback)))?;
                measure(&format!("{engine} {mode} {call}"), payload, || {
                    Ok(block_on(host.call(OPERATION, payload))?)
                })?;
            }
        }
    }
    Ok(())
}

/// Warms a call up and makes its batches.
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

/// What is counted, by this name. Neither generic nor inlined, so that it is one function.
#[inline(never)]
fn batch(call: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    for _ in 0..CALLS {
        call()?;
    }
    Ok(())
}

/// Polls until it is ready: an executor of which nothing counts.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::yield_now(),
        }
    }
}
