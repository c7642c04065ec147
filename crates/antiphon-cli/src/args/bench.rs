//! The arguments of `antiphon bench`.

use std::time::Duration;

use antiphon_engines::AnyEngine;
use clap::Args;

use super::cache::CacheArgs;
use super::changes::Changes;
use super::guest::{GuestArgs, WasiArgs};
use super::options::{self, Mode};

/// Measure how fast calls are, through a pool of instances
///
/// So many callers call one after the other until the time is over: tasks, or threads with `--mode sync`. Calls that a
/// caller waits for, in the pool's queue and in the guest, are what is measured; a short time before it warms everything
/// up. Errors are counted by kind and end nothing, unless every call fails. What the guest logs is dropped.
///
/// Ctrl-C ends the calls, and reports what was measured until then; a second one ends the program at once, as the first does
/// where nothing has been measured yet.
///
/// With `--compare` there is a second contender. The two take turns of a quarter of a second, so that whatever else the
/// machine does meets both alike, and each calls for the whole duration. The ratio of the second to the first is that of
/// each pair of turns: their median, and the least and the most.
#[derive(Debug, Args)]
#[command(after_help = BENCH_EXAMPLES)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
    /// Whether callers are tasks on an executor or threads of their own
    #[arg(long, value_enum, default_value_t = Mode::Async)]
    pub(crate) mode: Mode,
    /// The engine that runs the guest
    #[arg(long, value_name = "ENGINE", value_parser = options::engine(), default_value_t)]
    pub(crate) engine: AnyEngine,
    /// Callers at once; by default as many as the machine can run
    #[arg(long, value_name = "N", value_parser = options::number)]
    pub(crate) concurrency: Option<usize>,
    /// Instances at most; by default as many as the machine can run, and never more than there are callers
    #[arg(long, value_name = "N", value_parser = options::number)]
    pub(crate) instances: Option<usize>,
    /// How long to call, such as `500ms` or `1m`
    #[arg(long, value_name = "TIME", value_parser = options::deadline, default_value = "10s")]
    pub(crate) duration: Duration,
    /// Compare with another module, or with other settings: `MODULE` or `SETTING=VALUE,..`
    ///
    /// The settings are `module`, `engine`, `mode`, `isolation`, `concurrency` and `instances`, and have the values of the
    /// options of those names. What is not set is the same for both.
    #[arg(long, value_name = "OTHER", value_parser = Changes::parse)]
    pub(crate) compare: Option<Changes>,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    // Last: its heading is that of everything below it.
    #[command(flatten)]
    pub(crate) wasi: WasiArgs,
}

const BENCH_EXAMPLES: &str = r#"EXAMPLES:
  antiphon bench guests/built/rust.wasm echo hello --duration 1s
  antiphon bench guests/built/rust.wasm echo hello --duration 1s --concurrency 8 --mode sync --json
  antiphon bench guests/built/rust.wasm echo hello --duration 1s --compare engine=wasmi
  antiphon bench guests/built/rust.wasm echo --duration 1s --compare isolation=per-call,mode=sync

EXIT CODES:
    0  some call was answered, of each contender
    1  every call failed: the guest reported it
    2  wrong usage, an unreadable file, or an option that the engine lacks
    3  every call failed in another way: a trap, a deadline, a limit
    4  the module is no waPC guest, or did not start
  130  Ctrl-C: by that signal, to which shells give this number"#;
