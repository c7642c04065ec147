//! Wasmtime.

use std::sync::Arc;

use antiphon::EngineProviderFactory;
use antiphon::errors::Error;
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;

use crate::options::EngineOptions;

pub(crate) fn compile(
    module: &[u8],
    options: &EngineOptions,
) -> Result<Arc<dyn EngineProviderFactory>, Error> {
    let mut builder = WasmtimeEngineProviderBuilder::new()
        .module_bytes(module)
        .limits(options.limits)
        .wasi(options.wasi)
        .wasi_params(options.wasi_params.clone())
        .cooperative(options.cooperative);
    if let Some((seed, clock)) = options.deterministic {
        builder = builder.deterministic(seed, clock);
    }
    Ok(with_read_only_dirs(builder, options)?.factory()?)
}

#[cfg(feature = "wasi-fs")]
fn with_read_only_dirs<'a>(
    builder: WasmtimeEngineProviderBuilder<'a>,
    options: &EngineOptions,
) -> Result<WasmtimeEngineProviderBuilder<'a>, Error> {
    let add = |builder: WasmtimeEngineProviderBuilder<'a>, (host, guest): &(String, String)| {
        builder.read_only_dir(host, guest)
    };
    Ok(options.read_only_dirs.iter().fold(builder, add))
}

/// Refuses directories of either kind: the provider would name a feature of its own, which is not the caller's to set.
#[cfg(not(feature = "wasi-fs"))]
fn with_read_only_dirs<'a>(
    builder: WasmtimeEngineProviderBuilder<'a>,
    options: &EngineOptions,
) -> Result<WasmtimeEngineProviderBuilder<'a>, Error> {
    if options.grants_directories() {
        let what = "directories for guests need the feature `wasi-fs` of antiphon-engines";
        return Err(Error::new(antiphon::errors::ErrorKind::Unsupported, what));
    }
    Ok(builder)
}
