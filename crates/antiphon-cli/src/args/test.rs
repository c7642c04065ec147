//! The arguments of `antiphon test` and `antiphon watch`.

use std::path::PathBuf;
use std::time::Duration;

use antiphon::Limits;
use antiphon_host::EngineKind;
use clap::Args;

use super::cache::CacheArgs;
use super::values::{self, Mode};

/// Arguments that `test` and `watch` share.
#[derive(Debug, Args)]
pub(crate) struct TestedArgs {
    /// The module: binary format, text format, or an artifact of `antiphon compile`
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
    /// End a call after this time, such as `500ms` or `2s`; 2s by default
    #[arg(long, value_name = "TIME", value_parser = values::deadline)]
    pub(crate) deadline: Option<Duration>,
    /// Most memory of the guest, such as `512KiB` or `64MiB`; 64MiB by default
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(crate) memory: Option<u64>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

impl TestedArgs {
    /// Applies the options that were given to `limits`.
    pub(crate) fn limits(&self, mut limits: Limits) -> Limits {
        if let Some(deadline) = self.deadline {
            limits = limits.deadline(deadline).init_deadline(deadline.max(limits.init_deadline_or_default()));
        }
        if let Some(memory) = self.memory {
            limits = limits.memory(memory);
        }
        limits
    }
}

/// Run a file of test cases against a guest
///
/// A case names an operation, and optionally a payload and the host calls to answer. It expects an
/// answer, or an error by its kind, its text, or both. Each case runs in its own host.
///
/// A payload or an answer is a text or a table: `{ json = .. }` and `{ msgpack = .. }` hold values
/// and are compared as values, `{ hex = "00 ff" }` holds bytes.
#[derive(Debug, Args)]
#[command(after_help = TEST_EXAMPLES)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) tested: TestedArgs,
    // Both options come after the cache's options but do not belong under their heading.
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
EXAMPLE:
  antiphon watch guests/built/c.wasm --cases guests/c/cases.toml

EXIT CODES:
    2  wrong usage
  130  ended by Ctrl-C (SIGINT)";
