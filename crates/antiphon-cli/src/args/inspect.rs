//! The arguments of `antiphon inspect`.

use std::path::PathBuf;

use antiphon_host::EngineKind;
use clap::Args;

use super::cache::CacheArgs;
use super::limits::ModuleLimitArgs;
use super::values::{self, FormatArgs};

/// Show what a module contains, and whether it is a waPC guest
///
/// Exits with 0 if the module is a waPC guest, and with 4 if it is not; every reason is listed. No
/// code of the module runs. For an artifact of `antiphon compile`, the report describes the module
/// that it was compiled from.
#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub(crate) struct InspectArgs {
    /// The module: binary format, text format, or an artifact of `antiphon compile`; `-` reads
    /// standard input
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// The engine that validates the module's code
    #[arg(long, value_name = "ENGINE", value_parser = values::engine(), default_value_t)]
    pub(crate) engine: EngineKind,
    #[command(flatten)]
    pub(crate) module_limit: ModuleLimitArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    // Last, because its heading applies to every option after it.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

const INSPECT_EXAMPLES: &str = "\
EXAMPLES:
  antiphon inspect guests/built/rust.wasm
  antiphon compile guests/built/rust.wasm -o rust.sealed && antiphon inspect rust.sealed
  antiphon inspect guests/built/assemblyscript.wasm --format json
  antiphon inspect guests/built/go.wasm --engine wasmi --module-size 64MiB";
