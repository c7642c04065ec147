//! The conformance suite on wasmi.

use antiphon_wasmi::WasmiEngineProviderBuilder;

antiphon_conformance::suite!(wasmi, |module| {
    let mut builder = WasmiEngineProviderBuilder::new()
        .module_bytes(module.bytes())
        .limits(module.limits())
        .wasi(module.wasi())
        .wasi_params(module.wasi_params())
        .cooperative(module.cooperative())
        .isolation(module.isolation());
    if let Some((seed, clock)) = module.deterministic() {
        builder = builder.deterministic(seed, clock);
    }
    builder.factory()
});
