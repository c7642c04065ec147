//! The engines, as far as this program has to tell them apart.

use std::io;
use std::path::Path;
use std::sync::Arc;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{EngineProviderFactory, Limits, ModuleInfo, WasiParams};
use antiphon_engines::{AnyEngine, EngineOptions};

use crate::failure::Failure;
use crate::guest_args::{GuestArgs, WasiArgs};
use crate::inputs::Inputs;
use crate::spinner;

/// Refuses an engine that is not in this build, before anything is read or run.
pub(crate) fn ensure_available(engine: AnyEngine) -> Result<(), Failure> {
    if engine.is_available() {
        return Ok(());
    }
    let available: Vec<_> = AnyEngine::available().map(AnyEngine::name).collect();
    let advice = match available.as_slice() {
        [] => "it has none at all".to_owned(),
        names => format!("take --engine {}", names.join(" or --engine ")),
    };
    let what = format!(
        "this program was built without the {engine} engine: {advice}, or build antiphon-cli with the feature \
         `{engine}`"
    );
    Err(Error::new(ErrorKind::Unsupported, what).into())
}

/// Compiles a module as the arguments of a call say.
pub(crate) fn factory(
    engine: AnyEngine,
    guest: &GuestArgs,
    wasi: &WasiArgs,
    inputs: &Inputs,
) -> Result<Arc<dyn EngineProviderFactory>, Failure> {
    let mut options = EngineOptions::new().limits(inputs.limits).wasi(!wasi.no_wasi);
    options = options.isolation(guest.isolation.into());
    options = options.wasi_params(world(guest, wasi));
    for dir in &wasi.dir {
        check_directory(&dir.host)?;
        if dir.read_only {
            options = options.read_only_dir(&dir.host, &dir.guest);
        }
    }
    if let Some(seed) = wasi.deterministic {
        options = options.deterministic(seed, wasi.clock.unwrap_or_default());
    }
    let compiled = spinner::during("compiling the module", || engine.factory(&inputs.module, &options));
    compiled.map_err(|error| match error.kind() {
        ErrorKind::Unsupported if !wasi.dir.is_empty() && engine != AnyEngine::Wasmtime => {
            let what = format!("{engine} has no directories for guests: --dir needs --engine wasmtime");
            Error::new(ErrorKind::Unsupported, what).with_source(error).into()
        }
        _ => error.into(),
    })
}

/// Compiles a module only to see whether it can be. How much memory it wants is no reason against it: that is for the
/// options of a call to allow.
pub(crate) fn check(engine: AnyEngine, module: &[u8]) -> Result<(), Error> {
    let limits = Limits::new().with_memory(u64::MAX).with_table_elements(u64::MAX);
    engine.factory(module, &EngineOptions::new().limits(limits))?;
    Ok(())
}

/// What a guest that speaks WASI gets to see, but for directories that it may only read.
fn world(guest: &GuestArgs, wasi: &WasiArgs) -> WasiParams {
    let WasiArgs { env, arg, dir, .. } = wasi;
    let mut argv = Vec::new();
    if !arg.is_empty() {
        let program = guest.module.file_name().unwrap_or(guest.module.as_os_str());
        argv.push(program.to_string_lossy().into_owned());
        argv.extend_from_slice(arg);
    }
    let writable = dir.iter().filter(|dir| !dir.read_only);
    let map_dirs = writable.map(|dir| (dir.guest.clone(), dir.host.clone())).collect();
    let env_vars = env.iter().map(|variable| (variable.key.clone(), variable.value.clone())).collect();
    WasiParams { argv, map_dirs, env_vars, preopened_dirs: Vec::new() }
}

/// Refuses a directory that is none, before anything runs.
fn check_directory(host: &str) -> Result<(), Failure> {
    let checked = Path::new(host)
        .metadata()
        .and_then(|found| if found.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) });
    checked.map_err(|error| Failure::Usage(format!("cannot grant the directory {host}"), error))
}

/// Whether a module imports anything of WASI.
pub(crate) fn imports_wasi(info: &ModuleInfo) -> bool {
    info.imports_from(&antiphon_wasi::MODULES.map(|(module, _)| module))
}
