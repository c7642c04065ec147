//! The arguments of `antiphon bench`.

use std::time::Duration;

use antiphon_host::EngineKind;
use clap::Args;

use super::cache::CacheArgs;
use super::guest::{GuestArgs, WasiArgs};
use super::values::{self, Changes, Format, Mode};

/// How long is measured by default.
const DURATION: &str = "10s";

/// Measure how fast calls are, through a pool of instances
///
/// A number of callers (`--concurrency`) each call again and again until the time is over. Callers
/// are tasks, or threads with `--mode sync`. A call's time is how long its caller waits, in the
/// pool's queue and in the guest. A short warm-up comes first. Errors are counted by kind and do
/// not end the run; the command fails only if every call of a contender fails. Lines that the guest
/// logs are dropped.
///
/// Ctrl-C ends the calls and reports what was measured until then. A second Ctrl-C ends the program
/// at once, and so does the first one before anything is measured.
///
/// `--compare` adds a second contender. The two take turns of a quarter of a second, so that other
/// load on the machine affects both alike, and each calls for the whole duration. The ratio of the
/// second to the first is computed for each pair of turns; the report shows the median, the lowest
/// and the highest.
#[derive(Debug, Args)]
#[command(after_help = BENCH_EXAMPLES)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
    /// Run callers as tasks of an executor (async) or as threads (sync)
    #[arg(long, value_enum, default_value_t = Mode::Async)]
    pub(crate) mode: Mode,
    /// The engine that runs the guest
    #[arg(long, value_name = "ENGINE", value_parser = values::engine(), default_value_t)]
    pub(crate) engine: EngineKind,
    /// Number of concurrent callers; by default as many as the machine has processors
    #[arg(long, value_name = "N", value_parser = values::number)]
    pub(crate) concurrency: Option<usize>,
    /// Most instances in the pool; by default as many as the machine has processors, and never more
    /// than callers
    #[arg(long, value_name = "N", value_parser = values::number)]
    pub(crate) instances: Option<usize>,
    /// How long to measure, such as `500ms` or `1m`
    #[arg(long, value_name = "TIME", value_parser = values::deadline, default_value = DURATION)]
    pub(crate) duration: Duration,
    /// Compare with another module, or with other settings: `MODULE` or `SETTING=VALUE,..`
    ///
    /// The settings are `module`, `engine`, `mode`, `isolation`, `concurrency` and `instances`.
    /// They take the values of the options with these names. Settings that are not given are equal
    /// for both.
    #[arg(long, value_name = "OTHER", value_parser = Changes::parse)]
    pub(crate) compare: Option<Changes>,
    /// Format of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    // Last, because its heading applies to every option after it.
    #[command(flatten)]
    pub(crate) wasi: WasiArgs,
}

impl BenchArgs {
    /// Returns the payload if it is a time and the duration is the default one: it may have been
    /// meant as the duration.
    pub(crate) fn payload_like_a_duration(&self) -> Option<&str> {
        let payload = self.guest.payload.as_ref()?.to_str()?;
        let is_default = values::deadline(DURATION).is_ok_and(|default| default == self.duration);
        (is_default && values::deadline(payload).is_ok()).then_some(payload)
    }
}

const BENCH_EXAMPLES: &str = r#"EXAMPLES:
  antiphon bench guests/built/rust.wasm echo hello --duration 1s
  antiphon bench guests/built/rust.wasm echo hello --duration 1s --concurrency 8 --instances 2
  antiphon bench guests/built/rust.wasm echo hello --duration 1s --mode sync --format json
  antiphon bench guests/built/c.wasm greet --json '{"name":"Ada","count":2}' --duration 1s
  antiphon bench guests/built/rust.wasm echo hello --duration 1s --compare engine=wasmi
  antiphon bench guests/built/rust.wasm echo --duration 1s --compare isolation=per-call,mode=sync
  antiphon bench guests/built/rust.wasm host --duration 1s --host-call '*=y' --isolation per-call
  antiphon bench guests/built/go.wasm echo hi --duration 1s --memory 32MiB --deadline 1s --env A=B

`antiphon call --help` has examples of the other limits, of payloads, host calls and WASI.

EXIT CODES:
    0  each contender had an answered call
    1  every call of a contender failed: the guest reported a failure
    2  wrong usage, an unreadable file, or an option that the engine lacks
    3  every call of a contender failed in another way: a trap, a deadline, a limit
    4  the module is not a waPC guest, or did not start
  130  ended by Ctrl-C (SIGINT)"#;
