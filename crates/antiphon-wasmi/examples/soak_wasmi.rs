//! Soaks wasmi: `cargo xtask soak --engine wasmi --minutes N`.

use antiphon_wasmi::WasmiEngineProviderBuilder;

antiphon_conformance::soak!(wasmi, |module| {
    let mut builder = WasmiEngineProviderBuilder::new()
        .module_bytes(module.bytes())
        .limits(module.limits())
        .wasi(module.wasi())
        .wasi_params(module.wasi_params())
        .cooperative(module.cooperative());
    if let Some((seed, clock)) = module.deterministic() {
        builder = builder.deterministic(seed, clock);
    }
    builder.factory()
});
