//! The conformance suite on Wasmtime, with an instance from the pool for each call.

use std::path::Path;
use std::process::ExitCode;

use antiphon::Isolation;
use antiphon_conformance::{Mode, Module, Setup, guests_dir, run};
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;

fn main() -> ExitCode {
    // Straight guests start as synchronous ones do.
    let setup = Setup::new("per call").isolation(Isolation::PerCall).without(Mode::Straight);
    run(setup.guests(guests_dir(Path::new(env!("CARGO_MANIFEST_DIR")))), |module: &Module| {
        let mut builder = WasmtimeEngineProviderBuilder::new()
            .module_bytes(module.bytes())
            .limits(module.limits())
            .wasi(module.wasi())
            .wasi_params(module.wasi_params())
            .cooperative(module.cooperative())
            .isolation(module.isolation());
        if let Some((seed, clock)) = module.deterministic() {
            builder = builder.deterministic(seed, clock);
        }
        builder.factory().map_err(antiphon::errors::Error::from)
    })
}
