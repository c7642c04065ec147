//! The engines, as far as this program has to tell them apart.

use std::io;
use std::path::Path;
use std::sync::Arc;

use antiphon::errors::Error;
use antiphon::{EngineProviderFactory, Limits, ModuleInfo, WasiParams};
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;

use crate::cli::{CallArgs, Engine, WasiArgs};
use crate::failure::Failure;

/// Compiles a module as the arguments of a call say.
pub(crate) fn factory(
    args: &CallArgs,
    limits: Limits,
    module: &[u8],
) -> Result<Arc<dyn EngineProviderFactory>, Failure> {
    match args.engine {
        Engine::Wasmtime => wasmtime(args, limits, module),
    }
}

fn wasmtime(
    args: &CallArgs,
    limits: Limits,
    module: &[u8],
) -> Result<Arc<dyn EngineProviderFactory>, Failure> {
    let mut builder = WasmtimeEngineProviderBuilder::new().module_bytes(module).limits(limits);
    builder = builder.wasi(!args.wasi.no_wasi);
    if !args.wasi.grants_nothing() {
        builder = builder.wasi_params(world(args));
    }
    for dir in &args.wasi.dir {
        check_directory(&dir.host)?;
        if dir.read_only {
            builder = builder.read_only_dir(&dir.host, &dir.guest);
        }
    }
    builder.factory().map_err(|error| Error::from(error).into())
}

/// Compiles a module only to see whether it can be. How much memory it wants is no reason against it: that is for the
/// options of a call to allow.
pub(crate) fn check(module: &[u8]) -> Result<(), Error> {
    let limits = Limits::new().with_memory(u64::MAX).with_table_elements(u64::MAX);
    WasmtimeEngineProviderBuilder::new().module_bytes(module).limits(limits).factory()?;
    Ok(())
}

/// What a guest that speaks WASI gets to see, but for directories that it may only read.
fn world(args: &CallArgs) -> WasiParams {
    let WasiArgs { env, arg, dir, .. } = &args.wasi;
    let mut argv = Vec::new();
    if !arg.is_empty() {
        let program = args.module.file_name().unwrap_or(args.module.as_os_str());
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
