//! The arguments of `antiphon compare`.

use antiphon_host::EngineKind;
use clap::Args;

use super::guest::{GuestArgs, WasiArgs};
use super::values::{self, Format};

/// Make the same call on several engines, and report whether the outcomes agree
///
/// Each engine is called in both modes: once to see how the call ends, then `--repeat` times. All
/// runs must agree on how each call ends: with the same bytes, or with the same kind of error,
/// guest text and exit code. They must also agree on what the guest logs and which host calls it
/// makes in the first call. Times are shown, but never count as a difference. After a failed call,
/// that engine and mode make no more calls.
///
/// Modules are compiled each time, so that load times can be compared too. An artifact of `antiphon
/// compile` needs `--engine` with the engine that compiled it.
///
/// A guest that uses random bytes or a clock answers differently each time, unless
/// `--deterministic` fixes both. With `--fuel` engines may differ, because each counts in its own
/// units.
#[derive(Debug, Args)]
#[command(after_help = COMPARE_EXAMPLES)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
    /// An engine to compare (repeatable); all engines of this build by default
    #[arg(long, value_name = "ENGINE", value_parser = values::engine())]
    pub(crate) engine: Vec<EngineKind>,
    /// Number of calls after the first, one after the other, whose median time is shown
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), default_value_t = 5)]
    pub(crate) repeat: u64,
    /// Format of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) format: Format,
    // Last, because its heading applies to every option after it.
    #[command(flatten)]
    pub(crate) wasi: WasiArgs,
}

const COMPARE_EXAMPLES: &str = r#"EXAMPLES:
  antiphon compare guests/built/rust.wasm echo hello
  antiphon compare guests/built/rust.wasm host hi --host-call '*=hello back' --format json
  antiphon compare guests/built/c.wasm greet --json '{"name":"Ada","count":2}'
  antiphon compare guests/built/assemblyscript.wasm log 'all is well' --repeat 100
  antiphon compare guests/built/rust.wasm echo hello --deterministic 7
  antiphon compare guests/built/rust.wasm echo hello --engine wasmi --isolation per-call
  antiphon compare guests/built/go.wasm echo --memory 32MiB --stack 1MiB --dir guests::/data:ro

`antiphon call --help` has examples of the other limits, of payloads, host calls and WASI.

EXIT CODES, if all agree:
  0  the guest answered
  1  the guest reported a failure
  3  the call failed in another way: a trap, a deadline, a limit
  4  the module is not a waPC guest, or did not start
and in any case:
  2  wrong usage, an unreadable file, or an option that an engine lacks
  5  the outcomes differ"#;
