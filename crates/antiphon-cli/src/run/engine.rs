//! What this program asks of engines: compile a module, load an artifact, look at either.

use std::io;
use std::path::Path;
use std::sync::Arc;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{EngineProviderFactory, Limits, ModuleInfo, WasiParams};
use antiphon_host::{EngineKind, EngineOptions, ModuleBuilder};
use serde::Serialize;

use super::code::{self, Module};
use crate::args::{CacheArgs, Isolation, WasiArgs};
use crate::failure::Failure;
use crate::terminal;

/// Refuses an engine that is not in this build, before anything is read or run.
pub(crate) fn ensure_available(engine: EngineKind) -> Result<(), Failure> {
    if engine.is_available() {
        return Ok(());
    }
    let available: Vec<_> = EngineKind::available().map(EngineKind::name).collect();
    let advice = match available.as_slice() {
        [] => "use another build".to_owned(),
        names => format!("use --engine {}", names.join(" or --engine ")),
    };
    let what = format!(
        "this program was built without the {engine} engine: {advice}, or build antiphon-cli with the feature \
         `{engine}`"
    );
    Err(Error::new(ErrorKind::Unsupported, what).into())
}

/// What a module is compiled for: its path, and what its guests get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) path: &'a Path,
    pub(crate) isolation: Isolation,
    pub(crate) limits: Limits,
    pub(crate) wasi: &'a WasiArgs,
    pub(crate) cache: &'a CacheArgs,
}

/// Compiles a module, or loads an artifact, with the options of a call.
pub(crate) fn factory(
    engine: EngineKind,
    module: &Module,
    terms: Terms<'_>,
) -> Result<Arc<dyn EngineProviderFactory>, Failure> {
    let Terms { path, isolation, limits, wasi, cache } = terms;
    let mut options = EngineOptions::new().limits(limits).wasi(!wasi.no_wasi);
    options = options.isolation(isolation.into());
    options = options.wasi_params(world(path, wasi));
    for dir in &wasi.dir {
        check_directory(&dir.host)?;
        options = match dir.read_only {
            true => options.read_only_dir(&dir.host, &dir.guest),
            false => options.dir(&dir.host, &dir.guest),
        };
    }
    if let Some(seed) = wasi.deterministic {
        options = options.deterministic(seed, wasi.clock.unwrap_or_default());
    }
    Ok(compile(engine, cache, module, &options)?)
}

fn compile(
    engine: EngineKind,
    cache: &CacheArgs,
    module: &Module,
    options: &EngineOptions,
) -> Result<Arc<dyn EngineProviderFactory>, Error> {
    match module {
        Module::Bytes(bytes) => {
            terminal::with_spinner("compiling the module", || compile_cached(engine, cache, bytes, options))
        }
        Module::Artifact(path) => open(engine, cache, path, options),
    }
}

/// Compiles a module, or loads its code from the cache.
fn compile_cached(
    engine: EngineKind,
    cache: &CacheArgs,
    module: &[u8],
    options: &EngineOptions,
) -> Result<Arc<dyn EngineProviderFactory>, Error> {
    let mut builder = builder(engine, options);
    if let Some(directory) = code::cache_dir(cache, engine) {
        builder = builder.cache_dir(directory);
    }
    Ok(Arc::clone(builder.compile(module)?.factory()))
}

fn builder(engine: EngineKind, options: &EngineOptions) -> ModuleBuilder {
    antiphon_host::Module::builder().engine(engine).options(options.clone())
}

/// Loads native code, with the key from the cache's directory.
fn open(
    engine: EngineKind,
    cache: &CacheArgs,
    path: &Path,
    options: &EngineOptions,
) -> Result<Arc<dyn EngineProviderFactory>, Error> {
    let builder = code::with_keys(builder(engine, options), engine, cache.cache_dir.clone())?;
    Ok(Arc::clone(builder.open_artifact(path)?.factory()))
}

/// Compiles a module, or loads its cached code, only to learn whether that works.
pub(crate) fn check_code(engine: EngineKind, cache: &CacheArgs, module: &[u8]) -> Result<(), Error> {
    compile_cached(engine, cache, module, &unlimited()).map(drop)
}

/// What an artifact was compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Compiled {
    #[serde(serialize_with = "name_of_engine")]
    pub(crate) engine: EngineKind,
    pub(crate) fuel: bool,
    pub(crate) deterministic: bool,
}

fn name_of_engine<S: serde::Serializer>(engine: &EngineKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(engine.name())
}

/// Returns what an artifact records about the module that it was compiled from, and what it was
/// compiled for.
pub(crate) fn artifact_info(
    engine: EngineKind,
    cache: &CacheArgs,
    artifact: &Path,
) -> Result<(ModuleInfo, Compiled), Error> {
    let plain = Compiled { engine, fuel: false, deterministic: false };
    let opened = open(engine, cache, artifact, &unlimited()).map(|opened| (opened, plain));
    let opened = opened.or_else(|refused| {
        // An artifact loads only with the fuel and determinism that it was compiled for. Neither
        // says anything about the module, so the other settings are tried too.
        let fuel = unlimited().limits(unlimited().limits.fuel(u64::MAX - 1));
        let deterministic = unlimited().deterministic(0, std::time::Duration::ZERO);
        let others = [
            (fuel, Compiled { fuel: true, ..plain }),
            (deterministic, Compiled { deterministic: true, ..plain }),
        ];
        let mut opened = others
            .iter()
            .filter_map(|(options, to)| Some((open(engine, cache, artifact, options).ok()?, *to)));
        opened.next().ok_or(refused)
    });
    let (opened, compiled) = opened?;
    Ok((opened.module_info().clone(), compiled))
}

/// Returns options without a bound on memory. A module that needs much memory is still valid:
/// whether it gets that much is up to the options of a call.
fn unlimited() -> EngineOptions {
    EngineOptions::new().limits(Limits::new().memory(u64::MAX).table_elements(u64::MAX))
}

/// Returns the WASI world of the guest, except for its directories.
fn world(path: &Path, wasi: &WasiArgs) -> WasiParams {
    let WasiArgs { env, arg, .. } = wasi;
    let mut argv = Vec::new();
    if !arg.is_empty() {
        let program = path.file_name().unwrap_or(path.as_os_str());
        argv.push(program.to_string_lossy().into_owned());
        argv.extend_from_slice(arg);
    }
    let env_vars = env.iter().map(|variable| (variable.key.clone(), variable.value.clone())).collect();
    WasiParams { argv, env_vars, ..WasiParams::default() }
}

/// Refuses a path that is not a directory, before anything runs.
fn check_directory(host: &str) -> Result<(), Failure> {
    let checked = Path::new(host)
        .metadata()
        .and_then(|found| if found.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) });
    checked.map_err(|error| Failure::Usage(format!("cannot grant the directory {host}"), error))
}

/// Warns if options grant a WASI world to a module that does not import WASI.
pub(crate) fn warn_of_unreached_world(wasi: &WasiArgs, info: &ModuleInfo) {
    if !wasi.grants_nothing() && !imports_wasi(info) {
        terminal::warning("the module does not import WASI, so --env, --arg and --dir have no effect");
    }
}

fn imports_wasi(info: &ModuleInfo) -> bool {
    info.imports_from(&antiphon_wasi::MODULES.map(|(module, _)| module))
}
