//! The engines, as far as this program has to tell them apart.

use std::io;
use std::path::Path;
use std::sync::Arc;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{EngineProviderFactory, Limits, ModuleInfo, WasiParams};
use antiphon_engines::{AnyEngine, EngineOptions};

use super::code::{self, Module};
use super::inputs::Inputs;
use crate::args::{CacheArgs, GuestArgs, WasiArgs};
use crate::failure::Failure;
use crate::terminal;

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
    (guest, wasi, cache): (&GuestArgs, &WasiArgs, &CacheArgs),
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
    let compiled = compile(engine, cache, &inputs.module, &options);
    compiled.map_err(|error| match error.kind() {
        ErrorKind::Unsupported if !wasi.dir.is_empty() && engine != AnyEngine::Wasmtime => {
            let what = format!("{engine} has no directories for guests: --dir needs --engine wasmtime");
            Error::new(ErrorKind::Unsupported, what).with_source(error).into()
        }
        _ => error.into(),
    })
}

/// Compiles a module for calls within limits, in the sealed world.
pub(crate) fn plain_factory(
    engine: AnyEngine,
    cache: &CacheArgs,
    module: &Module,
    limits: Limits,
) -> Result<Arc<dyn EngineProviderFactory>, Failure> {
    Ok(compile(engine, cache, module, &EngineOptions::new().limits(limits).wasi(true))?)
}

fn compile(
    engine: AnyEngine,
    cache: &CacheArgs,
    module: &Module,
    options: &EngineOptions,
) -> Result<Arc<dyn EngineProviderFactory>, Error> {
    match module {
        Module::Bytes(bytes) => {
            terminal::with_spinner("compiling the module", || match code::store(cache, engine) {
                Some(store) => store.factory(bytes, options),
                None => engine.factory(bytes, options),
            })
        }
        Module::Artifact(path) => open(engine, cache, path, options),
    }
}

/// Loads native code, with the key of the cache.
fn open(
    engine: AnyEngine,
    cache: &CacheArgs,
    path: &Path,
    options: &EngineOptions,
) -> Result<Arc<dyn EngineProviderFactory>, Error> {
    code::keys(engine, cache.cache_dir.clone())?.open_artifact(path, options)
}

/// Compiles a module only to see whether it can be, or loads its code.
pub(crate) fn check_code(engine: AnyEngine, cache: &CacheArgs, module: &[u8]) -> Result<(), Error> {
    match code::store(cache, engine) {
        Some(store) => store.factory(module, &unlimited())?,
        None => engine.factory(module, &unlimited())?,
    };
    Ok(())
}

/// What native code says about the module that it was made of.
pub(crate) fn artifact_info(
    engine: AnyEngine,
    cache: &CacheArgs,
    artifact: &Path,
) -> Result<ModuleInfo, Error> {
    let opened = open(engine, cache, artifact, &unlimited()).or_else(|refused| {
        // Whether fuel is counted, and whether runs are deterministic, is in the code, and says nothing of the module.
        let fuel = unlimited().limits(unlimited().limits.with_fuel(u64::MAX - 1));
        let deterministic = unlimited().deterministic(0, std::time::Duration::ZERO);
        let mut others = [fuel, deterministic].into_iter();
        others.find_map(|options| open(engine, cache, artifact, &options).ok()).ok_or(refused)
    });
    Ok(opened?.module_info().clone())
}

/// How much memory a module wants is no reason against it: that is for the options of a call to allow.
fn unlimited() -> EngineOptions {
    EngineOptions::new().limits(Limits::new().with_memory(u64::MAX).with_table_elements(u64::MAX))
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

/// Says so where the guest is given more of a world than it asks for.
pub(crate) fn warn_of_unreached_world(wasi: &WasiArgs, info: &ModuleInfo) {
    if !wasi.grants_nothing() && !imports_wasi(info) {
        terminal::warning("the module imports no WASI: --env, --arg and --dir do not reach it");
    }
}

/// Whether a module imports anything of WASI.
fn imports_wasi(info: &ModuleInfo) -> bool {
    info.imports_from(&antiphon_wasi::MODULES.map(|(module, _)| module))
}
