//! The command line: commands, arguments, and the help texts with their examples.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use antiphon::Limits;
use antiphon::errors::Error;
use antiphon_engines::AnyEngine;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::bench_args::BenchArgs;
use crate::code::CacheArgs;
use crate::guest_args::{GuestArgs, ValueArgs, WasiArgs};
use crate::templates::Language;
use crate::{options, rival};

/// Calls, tests and measures waPC guests, compiles them ahead of time, compares engines, and
/// inspects modules.
///
/// Exit codes: 0 the guest answered; 1 the guest reported a failure; 2 wrong usage, or an option
/// that the engine lacks; 3 the call failed in another way (trap, deadline, limit); 4 the module is
/// not a waPC guest, or did not start; 5 the outcomes of a comparison differ; 130 ended by Ctrl-C
/// (SIGINT).
#[derive(Debug, Parser)]
#[command(name = "antiphon", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Format of errors on standard error
    #[arg(
        long,
        global = true,
        value_enum,
        display_order = 100,
        value_name = "FORMAT",
        default_value_t = ErrorFormat::Text
    )]
    pub(crate) error_format: ErrorFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
EXAMPLES:
  antiphon call guests/built/rust.wasm echo hello
  antiphon bench guests/built/rust.wasm echo hello --duration 1s
  antiphon compare guests/built/rust.wasm echo hello
  antiphon compile guests/built/rust.wasm -o rust.sealed
  antiphon engines
  antiphon inspect guests/built/rust.wasm
  antiphon new guest hello-zig --lang zig
  antiphon test guests/built/c.wasm --cases guests/c/cases.toml
  antiphon completions bash > antiphon.bash";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Bench(BenchArgs),
    Call(CallArgs),
    Compare(CompareArgs),
    Compile(CompileArgs),
    Engines(EnginesArgs),
    Inspect(InspectArgs),
    New(NewArgs),
    Test(TestArgs),
    Watch(WatchArgs),
    Completions(CompletionsArgs),
}

/// Call an operation of a guest
///
/// Standard output gets the bytes of the response and nothing else. Standard error gets the lines
/// that the guest logs and the program's own messages. Unless options say otherwise, a call ends
/// after 2 s and a guest gets at most 64 MiB of memory.
///
/// Compiled code is cached, sealed with a key that only this user can read, and loaded the next
/// time.
#[derive(Debug, Args)]
#[command(after_help = CALL_EXAMPLES)]
pub(crate) struct CallArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
    #[command(flatten)]
    pub(crate) value: ValueArgs,
    /// Run the guest on an asynchronous or a synchronous host; the outcome is the same
    #[arg(long, value_enum, default_value_t = Mode::Async)]
    pub(crate) mode: Mode,
    /// The engine that runs the guest
    #[arg(long, value_name = "ENGINE", value_parser = engine(), default_value_t)]
    pub(crate) engine: AnyEngine,
    /// Call so many times, and sum up how long it took
    ///
    /// The calls go through a pool. The response of the last one goes to standard output, the summary to standard error. The
    /// first call that fails ends it. Ctrl-C sums up what was called until then.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) repeat: Option<u64>,
    /// Let so many callers call at once; each once, unless `--repeat` says how many calls there are in all
    ///
    /// The pool has as many instances, or as many as the machine can run at once if those are fewer. Callers are tasks, or
    /// threads with `--mode sync`.
    #[arg(long, value_name = "N", value_parser = rival::number)]
    pub(crate) concurrency: Option<usize>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    // Last, because its heading applies to every option after it.
    #[command(flatten)]
    pub(crate) wasi: WasiArgs,
}

const CALL_EXAMPLES: &str = r#"EXAMPLES:
  antiphon call guests/built/rust.wasm echo hello
  echo '{"a":1}' | antiphon call guests/built/rust.wasm echo -
  antiphon call guests/built/rust.wasm echo --payload-file guests/README.md
  antiphon call guests/built/rust.wasm host hi --host-call 'binding/sample/echo=hello back'
  antiphon call guests/built/rust.wasm host hi --host-call '*=@guests/README.md'
  antiphon compile guests/built/rust.wasm -o rust.sealed && antiphon call rust.sealed echo hello
  antiphon call guests/built/c.wasm greet --json '{"name":"Ada","count":2}'
  antiphon call guests/built/rust.wasm echo --json '[1, 2]' --codec json
  antiphon call guests/built/rust.wasm echo hello --no-cache
  antiphon call guests/built/rust.wasm echo hello --repeat 1000 --mode sync --engine wasmtime
  antiphon call guests/built/rust.wasm echo hello --repeat 1000 --isolation per-call
  antiphon call guests/built/rust.wasm echo hello --repeat 1000 --concurrency 8
  antiphon call guests/built/assemblyscript.wasm echo hello --deadline 500ms --memory 16MiB
  antiphon call guests/built/rust.wasm echo hello --fuel 1000000
  antiphon call guests/built/rust.wasm echo hello --deterministic 7 --clock 2026-01-01T00:00:00Z
  antiphon call guests/built/rust.wasm echo --error-format json -- --a-payload-with-dashes

EXIT CODES:
  0  the guest answered
  1  the guest reported a failure
  2  wrong usage, an unreadable file, or an option that the engine lacks
  3  the call failed in another way: a trap, a deadline, a limit, an answer that is not in the codec of --json
  4  the module is not a waPC guest, or did not start"#;

/// Show what a module contains, and whether it is a waPC guest
///
/// Exits with 0 if the module is a waPC guest, and with 4 if it is not; every reason is listed. No
/// code of the module runs. For an artifact of `antiphon compile`, the report describes the module
/// that it was compiled from.
#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub(crate) struct InspectArgs {
    /// The module: binary format, text format, or an artifact of `antiphon compile`
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// The engine that validates the module's code
    #[arg(long, value_name = "ENGINE", value_parser = engine(), default_value_t)]
    pub(crate) engine: AnyEngine,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
    // Last, because its heading applies to every option after it.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

const INSPECT_EXAMPLES: &str = "\
EXAMPLES:
  antiphon inspect guests/built/rust.wasm
  antiphon compile guests/built/rust.wasm -o rust.sealed && antiphon inspect rust.sealed
  antiphon inspect guests/built/assemblyscript.wasm --json";

/// Compile a module ahead of time, to an artifact that `antiphon call` loads at once
///
/// The artifact holds native code, sealed with a key that only this user can read. It works for
/// this user, on machines like this one, with this version of the program, and for calls that agree
/// with it on whether `--fuel` and `--deterministic` are given (their values may differ). In any
/// other case it is refused before any of its code runs.
#[derive(Debug, Args)]
#[command(after_help = COMPILE_EXAMPLES)]
pub(crate) struct CompileArgs {
    /// The module, in binary or text format
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// Where to write the artifact
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The engine that compiles
    #[arg(long, value_name = "ENGINE", value_parser = engine(), default_value_t)]
    pub(crate) engine: AnyEngine,
    /// Most memory that the guest may start with, such as `512KiB` or `64MiB`; 64MiB by default
    #[arg(long, value_name = "SIZE", value_parser = options::size)]
    pub(crate) memory: Option<u64>,
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
  antiphon compile guests/built/rust.wasm -o rust.sealed --fuel
  antiphon compile guests/built/rust.wasm -o rust.sealed --cache-dir keys";

impl CompileArgs {
    /// The limits that the module is compiled with.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::new();
        if let Some(memory) = self.memory {
            limits = limits.with_memory(memory);
        }
        if self.fuel {
            // Whether fuel is counted is compiled into the code; the amount is not.
            limits = limits.with_fuel(1);
        }
        limits
    }
}

/// List the engines and their capabilities
///
/// Each engine in this build is asked for its own capabilities.
#[derive(Debug, Args)]
#[command(after_help = ENGINES_EXAMPLES)]
pub(crate) struct EnginesArgs {
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const ENGINES_EXAMPLES: &str = "\
EXAMPLES:
  antiphon engines
  antiphon engines --json";

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
    #[arg(long, value_name = "ENGINE", value_parser = engine())]
    pub(crate) engine: Vec<AnyEngine>,
    /// Number of calls after the first, one after the other, whose median time is shown
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), default_value_t = 5)]
    pub(crate) repeat: u64,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
    // Last, because its heading applies to every option after it.
    #[command(flatten)]
    pub(crate) wasi: WasiArgs,
}

const COMPARE_EXAMPLES: &str = r#"EXAMPLES:
  antiphon compare guests/built/rust.wasm echo hello
  antiphon compare guests/built/rust.wasm host hi --host-call '*=hello back' --json
  antiphon compare guests/built/assemblyscript.wasm log 'all is well' --repeat 100
  antiphon compare guests/built/rust.wasm echo hello --deterministic 7

EXIT CODES, if all agree:
  0  the guest answered
  1  the guest reported a failure
  3  the call failed in another way: a trap, a deadline, a limit
  4  the module is not a waPC guest, or did not start
and in any case:
  2  wrong usage, an unreadable file, or an option that an engine lacks
  5  the outcomes differ"#;

/// Create a project
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    #[command(subcommand)]
    pub(crate) command: NewCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NewCommand {
    Guest(NewGuestArgs),
}

/// Create a guest project with the SDK files that it needs, test cases, and a README with its build
/// and test commands
#[derive(Debug, Args)]
#[command(after_help = NEW_GUEST_EXAMPLES)]
pub(crate) struct NewGuestArgs {
    /// Directory of the new project; it must not exist yet
    #[arg(value_name = "NAME")]
    pub(crate) path: PathBuf,
    /// Programming language of the guest
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
}

const NEW_GUEST_EXAMPLES: &str = "\
EXAMPLES:
  antiphon new guest hello --lang c
  antiphon new guest plugins/hello-go --lang go";

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
    #[arg(long, value_name = "ENGINE", value_parser = engine(), default_value_t)]
    pub(crate) engine: AnyEngine,
    /// End a call after this time, such as `500ms` or `2s`; 2s by default
    #[arg(long, value_name = "TIME", value_parser = options::deadline)]
    pub(crate) deadline: Option<Duration>,
    /// Most memory of the guest, such as `512KiB` or `64MiB`; 64MiB by default
    #[arg(long, value_name = "SIZE", value_parser = options::size)]
    pub(crate) memory: Option<u64>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

impl TestedArgs {
    /// Applies the options that were given to `limits`.
    pub(crate) fn limits(&self, mut limits: Limits) -> Limits {
        if let Some(deadline) = self.deadline {
            limits = limits.with_deadline(deadline).with_init_deadline(deadline.max(limits.init_deadline()));
        }
        if let Some(memory) = self.memory {
            limits = limits.with_memory(memory);
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

/// Write a completion script for a shell to standard output
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

const COMPLETIONS_EXAMPLES: &str = "\
EXAMPLES:
  antiphon completions bash > antiphon.bash
  antiphon completions zsh > _antiphon
  antiphon completions fish > antiphon.fish";

/// Which host runs the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Async,
    Sync,
}

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Sync => "sync",
        }
    }
}

/// Whether calls share an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Isolation {
    /// Calls share an instance as long as they end well
    Reuse,
    /// Each call gets its own instance
    PerCall,
}

impl Isolation {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reuse => "reuse",
            Self::PerCall => "per-call",
        }
    }
}

impl From<Isolation> for antiphon::Isolation {
    fn from(isolation: Isolation) -> Self {
        match isolation {
            Isolation::Reuse => Self::Reuse,
            Isolation::PerCall => Self::PerCall,
        }
    }
}

/// Parses an engine's name. The help lists the engines of this build. The other names are accepted
/// here, so that using one reports how to get that engine.
pub(crate) fn engine() -> impl TypedValueParser<Value = AnyEngine> {
    let all = AnyEngine::ALL.iter();
    let names = all.map(|engine| PossibleValue::new(engine.name()).hide(!engine.is_available()));
    PossibleValuesParser::new(names).try_map(|name| -> Result<AnyEngine, Error> { name.parse() })
}

/// The format of error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ErrorFormat {
    /// For humans
    Text,
    /// One line, for programs
    Json,
}

impl ErrorFormat {
    /// The requested format, found without clap, for arguments that clap could not parse.
    pub(crate) fn guess(arguments: &[OsString]) -> Self {
        let options = || arguments.iter().take_while(|argument| *argument != "--");
        let pairs = options().zip(options().skip(1));
        let json = options().any(|argument| argument == "--error-format=json")
            || pairs.into_iter().any(|(option, value)| option == "--error-format" && value == "json");
        if json { Self::Json } else { Self::Text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn call(arguments: &[&str]) -> Result<CallArgs, clap::Error> {
        let all = ["antiphon", "call", "m.wasm", "op"].iter().chain(arguments);
        match Cli::try_parse_from(all)?.command {
            Command::Call(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn limits_are_the_defaults_but_for_what_was_asked_for() {
        let limits = call(&[]).unwrap().guest.limits();
        assert_eq!((limits.explicit_deadline(), limits.memory()), (None, 64 << 20));

        let limits = call(&["--deadline", "10ms", "--memory", "1MiB"]).unwrap().guest.limits();
        assert_eq!((limits.deadline(), limits.memory()), (Duration::from_millis(10), 1 << 20));
        assert_eq!(limits.init_deadline(), Duration::from_secs(2));

        let limits = call(&["--deadline", "1m"]).unwrap().guest.limits();
        assert_eq!(limits.init_deadline(), Duration::from_secs(60));
    }

    #[test]
    fn fuel_is_no_limit_unless_it_is_asked_for() {
        assert_eq!(call(&[]).unwrap().guest.limits().explicit_fuel(), None);
        assert_eq!(call(&["--fuel", "9"]).unwrap().guest.limits().explicit_fuel(), Some(9));
        assert!(call(&["--fuel", "-9"]).is_err());
    }

    #[test]
    fn a_clock_goes_with_a_seed_and_a_seed_with_the_sealed_world() {
        let wasi = call(&["--deterministic", "7", "--clock", "1970-01-01T00:01:00Z"]).unwrap().wasi;
        assert_eq!((wasi.deterministic, wasi.clock), (Some(7), Some(Duration::from_secs(60))));
        assert!(call(&["--clock", "1970-01-01T00:01:00Z"]).is_err());
        assert!(call(&["--deterministic", "7", "--no-wasi"]).is_err());
        assert!(call(&["--deterministic", "7", "--dir", "a::b"]).is_err());
    }

    #[test]
    fn a_payload_is_an_argument_or_a_file_and_not_both() {
        assert_eq!(call(&["-"]).unwrap().guest.payload.unwrap(), "-");
        assert_eq!(call(&["--", "--x"]).unwrap().guest.payload.unwrap(), "--x");
        assert!(call(&["text", "--payload-file", "f"]).is_err());
    }

    #[test]
    fn the_last_of_wasi_and_no_wasi_counts_and_no_wasi_takes_no_world() {
        assert!(!call(&[]).unwrap().wasi.no_wasi);
        assert!(call(&["--wasi", "--no-wasi"]).unwrap().wasi.no_wasi);
        assert!(!call(&["--no-wasi", "--wasi"]).unwrap().wasi.no_wasi);
        assert!(call(&["--no-wasi", "--env", "A=b"]).is_err());
        assert!(call(&["--wasi", "--env", "A=b"]).is_ok());
    }

    #[test]
    fn a_repeat_of_zero_is_refused() {
        assert_eq!(call(&["--repeat", "2"]).unwrap().repeat, Some(2));
        assert!(call(&["--repeat", "0"]).is_err());
    }

    #[test]
    fn the_error_format_is_known_even_where_nothing_else_is() {
        let guess = |arguments: &[&str]| {
            ErrorFormat::guess(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
        };
        assert_eq!(guess(&["antiphon", "--error-format", "json", "cal"]), ErrorFormat::Json);
        assert_eq!(guess(&["antiphon", "call", "--error-format=json"]), ErrorFormat::Json);
        assert_eq!(guess(&["antiphon", "call", "--", "--error-format=json"]), ErrorFormat::Text);
    }
}
