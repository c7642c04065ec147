//! What MIGRATING.md says about Antiphon alone: its code, each switch, and the tables of kinds.

mod code;
mod epochs;
mod kinds;
mod payloads;
mod switches;

use wapc::{HostBuilder, Limits, WapcHost, WebAssemblyEngineProvider};
use wasmtime_provider::WasmtimeEngineProviderBuilder;

type Builder = HostBuilder<dyn WebAssemblyEngineProvider + Send>;

/// Returns a host builder for a module.
fn host_of(module: impl AsRef<[u8]>) -> Builder {
    WapcHost::builder(Box::new(
        WasmtimeEngineProviderBuilder::new().module_bytes(module.as_ref()).build().unwrap(),
    ))
}

/// Returns a host for the toolbox with these limits.
fn limited(limits: Limits) -> WapcHost {
    host_of(compat::guests::TOOLBOX).limits(limits).build().unwrap()
}

/// Answers every host call with its payload.
struct Echo;

impl wapc::HostHandler for Echo {
    fn handle(&self, call: wapc::HostCall<'_>) -> Result<wapc::Bytes, wapc::HostCallError> {
        Ok(call.payload.to_vec().into())
    }
}

/// Each case first asserts that MIGRATING.md has the passage that it is about.
use compat::sides::assert_on_record as on_record;
