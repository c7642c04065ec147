//! What MIGRATING.md says about Antiphon's side alone: its code, each of its switches, its tables of kinds.

mod code;
mod epochs;
mod kinds;
mod payloads;
mod switches;

use wapc::{HostBuilder, Limits, WapcHost, WebAssemblyEngineProvider};
use wasmtime_provider::WasmtimeEngineProviderBuilder;

type Builder = HostBuilder<dyn WebAssemblyEngineProvider + Send>;

/// A host's builder for a module.
fn host_of(module: impl AsRef<[u8]>) -> Builder {
    WapcHost::builder(Box::new(
        WasmtimeEngineProviderBuilder::new().module_bytes(module.as_ref()).build().unwrap(),
    ))
}

/// The toolbox with limits of the host.
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

/// The first passage of MIGRATING.md that a case is about must stand there.
use compat::sides::assert_on_record as on_record;
