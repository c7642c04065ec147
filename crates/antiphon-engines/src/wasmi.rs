//! wasmi.

use std::sync::Arc;

use antiphon::EngineProviderFactory;
use antiphon::errors::Error;
use antiphon_wasmi::WasmiEngineProviderBuilder;

use crate::options::EngineOptions;

pub(crate) fn compile(
    module: &[u8],
    options: &EngineOptions,
) -> Result<Arc<dyn EngineProviderFactory>, Error> {
    let mut builder = WasmiEngineProviderBuilder::new()
        .module_bytes(module)
        .limits(options.limits)
        .wasi(options.wasi)
        .wasi_params(options.wasi_params.clone())
        .cooperative(options.cooperative);
    if let Some((seed, clock)) = options.deterministic {
        builder = builder.deterministic(seed, clock);
    }
    let read_only = options.read_only_dirs.iter();
    let builder = read_only.fold(builder, |builder, (host, guest)| builder.read_only_dir(host, guest));
    builder.factory()
}
