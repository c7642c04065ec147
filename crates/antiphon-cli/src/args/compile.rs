//! The arguments of `antiphon compile`.

use std::path::PathBuf;

use antiphon::Limits;
use antiphon_host::EngineKind;
use clap::Args;

use super::limits::ModuleLimitArgs;
use super::values;

/// Compile a module ahead of time, to an artifact that `antiphon call` loads at once
///
/// The artifact holds native code, sealed with a key that only this user can read. It works for
/// this user, on machines like this one, with this version of the program, and for calls that agree
/// with it on whether `--fuel` and `--deterministic` are given (their values may differ). In any
/// other case it is refused before any of its code runs.
#[derive(Debug, Args)]
#[command(after_help = COMPILE_EXAMPLES)]
pub(crate) struct CompileArgs {
    /// The module, in binary or text format; `-` reads standard input
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// Where to write the artifact
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The engine that compiles
    #[arg(long, value_name = "ENGINE", value_parser = values::engine(), default_value_t)]
    pub(crate) engine: EngineKind,
    /// Most memory that the guest may start with, such as `512KiB` or `64MiB`; 64MiB by default
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(crate) memory: Option<u64>,
    /// Most elements of each table that the guest may start with; 20000 by default
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(crate) table_elements: Option<u64>,
    #[command(flatten)]
    pub(crate) module_limit: ModuleLimitArgs,
    /// Compile for calls with `--fuel`
    #[arg(long)]
    pub(crate) fuel: bool,
    /// Compile for calls with `--deterministic`
    #[arg(long)]
    pub(crate) deterministic: bool,
    /// Directory of the key, which calls then need too; by default the user's cache directory
    #[arg(long, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
}

const COMPILE_EXAMPLES: &str = "\
EXAMPLES:
  antiphon compile guests/built/rust.wasm -o rust.sealed
  antiphon compile guests/built/rust.wasm -o rust.sealed --fuel --deterministic
  antiphon compile guests/built/go.wasm -o go.sealed --module-size 64MiB --table-elements 50000
  antiphon compile guests/built/go.wasm -o go.sealed --engine wasmtime --memory 128MiB
  antiphon compile guests/built/rust.wasm -o rust.sealed --cache-dir keys";

impl CompileArgs {
    /// Returns the limits that the module is compiled with.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = self.module_limit.limits(Limits::new());
        if let Some(memory) = self.memory {
            limits = limits.memory(memory);
        }
        if let Some(elements) = self.table_elements {
            limits = limits.table_elements(elements);
        }
        if self.fuel {
            // Whether fuel is counted is compiled into the code; the amount is not.
            limits = limits.fuel(1);
        }
        limits
    }
}
