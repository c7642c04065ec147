//! The conformance suite on Wasmtime.

use antiphon_wasmtime::WasmtimeEngineProviderBuilder;

antiphon_conformance::suite!(wasmtime, |module| {
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
});
