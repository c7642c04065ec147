//! The arguments of `antiphon test` and `antiphon watch`.

use std::path::PathBuf;

use antiphon_host::EngineKind;
use clap::Args;

use super::cache::CacheArgs;
use super::guest::WasiArgs;
use super::limits::LimitArgs;
use super::values::{self, Mode};

/// Arguments that `test` and `watch` share.
#[derive(Debug, Args)]
pub(crate) struct TestedArgs {
    /// The module: binary format, text format, or an artifact of `antiphon compile`; `-` reads
    /// standard input
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// The file of cases
    #[arg(long, value_name = "FILE")]
    pub(crate) cases: PathBuf,
    /// Run the guest on an asynchronous or a synchronous host; the outcome is the same
    #[arg(long, value_enum, default_value_t = Mode::Async)]
    pub(crate) mode: Mode,
    /// The engine that runs the guest
    #[arg(long, value_name = "ENGINE", value_parser = values::engine(), default_value_t)]
    pub(crate) engine: EngineKind,
    /// Run only the cases whose name contains this text (repeatable: one of these texts)
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    #[command(flatten)]
    pub(crate) wasi: WasiArgs,
}

impl TestedArgs {
    /// Returns whether a case of this name is to run.
    pub(crate) fn selects(&self, name: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|text| name.contains(text.as_str()))
    }
}

/// Run a file of test cases against a guest
///
/// A case names an operation, and optionally a payload and the host calls to answer. It expects an
/// answer, or an error by its kind, its text, or both, and optionally the lines that the guest
/// logs. Each case runs in its own host. Answers to host calls that no host call used are reported;
/// so are the host calls that a failed case refused, with their payloads.
///
/// A payload or an answer is a text or a table: `{ json = .. }` and `{ msgpack = .. }` hold values
/// and are compared as values (see `--json` of `antiphon call` for what JSON lacks), `{ hex = "00
/// ff" }` holds bytes, and `{ file = "PATH" }` names a file of bytes, beside the file of cases.
#[derive(Debug, Args)]
#[command(after_help = TEST_EXAMPLES)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) tested: TestedArgs,
    // Both options come after others but do not belong under their heading.
    /// Write the actual outcomes of failed cases into the file as their expectations; the rest of
    /// the file stays as it is
    #[arg(long, help_heading = None)]
    pub(crate) update: bool,
    /// Write a report in JUnit's XML format
    #[arg(long, value_name = "FILE", help_heading = None)]
    pub(crate) junit: Option<PathBuf>,
}

const TEST_EXAMPLES: &str = r#"EXAMPLES:
  antiphon test guests/built/c.wasm --cases guests/c/cases.toml
  antiphon test guests/built/zig.wasm --cases guests/zig/cases.toml --junit report.xml
  antiphon test guests/built/c.wasm --cases guests/c/cases.toml --filter host --filter log
  antiphon test guests/built/go.wasm --cases guests/go/cases.toml --deterministic 7
  antiphon test guests/built/zig.wasm --cases guests/zig/cases.toml --engine wasmi --mode sync
  antiphon test guests/built/go.wasm --cases guests/go/cases.toml --deadline 1s --stack 1MiB
  antiphon test guests/built/go.wasm --cases guests/go/cases.toml --env A=B --dir guests::/data:ro
  cp guests/c/cases.toml mine.toml && antiphon test guests/built/c.wasm --cases mine.toml --update

A FILE OF CASES:
  [[case]]
  name = "greets"
  operation = "greet"
  payload = { msgpack = { name = "Ada", count = 1 } }
  answer = { msgpack = { text = "Hello, Ada!", length = 11 } }

  [[case]]
  operation = "fail"
  payload = "no tea"
  error = { kind = "guest_failed", text = "the guest refused: no tea" }

  [[case]]
  operation = "host"
  payload = "ping"
  answer = "pong"
  [[case.host]]
  call = "binding/sample/echo"
  payload = "ping"
  answer = "pong"

  [[case]]
  operation = "log"
  payload = { file = "lines.txt" }
  answer = ""
  log = ["all is well"]

EXIT CODES:
  0  every case ended as expected, or was updated
  1  a case ended differently
  2  wrong usage, an unreadable file, or an invalid file of cases
  4  the module is not a waPC guest, or did not start"#;

/// Run the cases of `antiphon test` again whenever the module or the file of cases changes
///
/// Ctrl-C ends it at once, even while a case runs. Errors in the module or the cases are shown, and
/// the cases run again after the next change.
#[derive(Debug, Args)]
#[command(after_help = WATCH_EXAMPLES)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) tested: TestedArgs,
}

const WATCH_EXAMPLES: &str = "\
EXAMPLES:
  antiphon watch guests/built/c.wasm --cases guests/c/cases.toml
  antiphon watch guests/built/go.wasm --cases guests/go/cases.toml --filter greet --deadline 500ms

EXIT CODES:
    2  wrong usage
  130  ended by Ctrl-C (SIGINT)";
