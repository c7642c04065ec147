//! Soaks Wasmtime: `cargo xtask soak --minutes N`.

use antiphon_wasmtime::WasmtimeEngineProviderBuilder;

antiphon_conformance::soak!(wasmtime, |module| {
    let mut builder = WasmtimeEngineProviderBuilder::new()
        .module_bytes(module.bytes())
        .limits(module.limits())
        .wasi(module.wasi())
        .wasi_params(module.wasi_params())
        .cooperative(module.cooperative());
    if let Some((seed, clock)) = module.deterministic() {
        builder = builder.deterministic(seed, clock);
    }
    builder.factory().map_err(antiphon::errors::Error::from)
});
