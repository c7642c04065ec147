//! The engines, as far as this program has to tell them apart.

use std::io;
use std::path::Path;
use std::sync::Arc;

use antiphon::errors::Error;
use antiphon::module_info::{ExternKind, Import};
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

/// The type of a function of WASI, under any of its module names.
pub(crate) fn wasi_import(import: &Import) -> Option<ExternKind> {
    macro_rules! types {
        (
            plain { $(fn $name:ident($($arg:ident: $type:ty),*) -> i32;)* }
            suspending { fn $poll:ident($($poll_arg:ident: $poll_type:ty),*) -> i32; }
            ending { fn $exit:ident($($exit_arg:ident: $exit_type:ty),*); }
        ) => {
            match import.name.as_str() {
                $(stringify!($name) => Some(func(&[$(stringify!($type)),*], &["i32"])),)*
                stringify!($poll) => Some(func(&[$(stringify!($poll_type)),*], &["i32"])),
                stringify!($exit) => Some(func(&[$(stringify!($exit_type)),*], &[])),
                _ => None,
            }
        };
    }
    antiphon_wasi::Abi::of_module(&import.module)?;
    antiphon_wasi::for_each_function!(types)
}

fn func(params: &[&str], results: &[&str]) -> ExternKind {
    ExternKind::func(params, results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_of_wasi_are_known_with_their_types() {
        let import = |module, name| {
            wasi_import(&Import::new(module, name, ExternKind::Global)).map(|kind| kind.to_string())
        };
        assert_eq!(import("wasi_unstable", "fd_seek").unwrap(), "func(i32, i64, i32, i32) -> i32");
        assert_eq!(import("wasi_snapshot_preview1", "proc_exit").unwrap(), "func(i32)");
        assert_eq!(import("wasi_snapshot_preview1", "fd_fly"), None);
        assert_eq!(import("env", "fd_seek"), None);
    }
}
