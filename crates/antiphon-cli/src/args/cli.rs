//! What the program understands: commands, arguments, and the help with its examples.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use antiphon::Limits;
use antiphon_engines::AnyEngine;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::bench::BenchArgs;
use super::cache::CacheArgs;
use super::guest::{GuestArgs, ValueArgs, WasiArgs};
use super::options::{self, Language, Mode};

/// Calls operations of waPC guests, measures and tests them, compiles them ahead of time, compares engines, and looks at what a
/// module is.
///
/// Exit codes: 0 answered; 1 the guest reported a failure; 2 wrong usage, or an option that the engine lacks;
/// 3 the call failed in another way (trap, deadline, limit); 4 the module is no waPC guest, or did not start;
/// 5 the outcomes of a comparison differ; 130 Ctrl-C, by that signal.
#[derive(Debug, Parser)]
#[command(name = "antiphon", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// How errors are written to standard error
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
/// The bytes of the response, and nothing else, go to standard output; what the guest logs, and everything that the
/// program itself has to say, to standard error. A call ends after 2 s and a guest gets 64 MiB of memory unless the
/// options say otherwise.
///
/// What is compiled is kept, sealed with a key that only this user can read, and loaded the next time.
#[derive(Debug, Args)]
#[command(after_help = CALL_EXAMPLES)]
pub(crate) struct CallArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
    #[command(flatten)]
    pub(crate) value: ValueArgs,
    /// Whether the guest runs on an asynchronous host or a synchronous one; the outcome is the same
    #[arg(long, value_enum, default_value_t = Mode::Async)]
    pub(crate) mode: Mode,
    /// The engine that runs the guest
    #[arg(long, value_name = "ENGINE", value_parser = options::engine(), default_value_t)]
    pub(crate) engine: AnyEngine,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    // Last: its heading is that of everything below it.
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
  antiphon call guests/built/rust.wasm echo hello --mode sync --engine wasmtime
  antiphon call guests/built/assemblyscript.wasm echo hello --deadline 500ms --memory 16MiB
  antiphon call guests/built/rust.wasm echo hello --fuel 1000000
  antiphon call guests/built/rust.wasm echo hello --deterministic 7 --clock 2026-01-01T00:00:00Z
  antiphon call guests/built/rust.wasm echo --error-format json -- --a-payload-with-dashes

EXIT CODES:
  0  the guest answered
  1  the guest reported a failure
  2  wrong usage, an unreadable file, or an option that the engine lacks
  3  the call failed in another way: a trap, a deadline, a limit, an answer that is not in the codec of --json
  4  the module is no waPC guest, or did not start"#;

/// Say what a module is, and whether it is a waPC guest
///
/// Exits with 0 if it is one and with 4 if it is not, for every reason that is listed. Nothing of the module is run.
/// An artifact of `antiphon compile` is looked at like the module that it was made of.
#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub(crate) struct InspectArgs {
    /// The module, in the binary or the text format, or compiled by `antiphon compile`
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// The engine that judges the module's code
    #[arg(long, value_name = "ENGINE", value_parser = options::engine(), default_value_t)]
    pub(crate) engine: AnyEngine,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
    // Last: its heading is that of everything below it.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

const INSPECT_EXAMPLES: &str = "\
EXAMPLES:
  antiphon inspect guests/built/rust.wasm
  antiphon compile guests/built/rust.wasm -o rust.sealed && antiphon inspect rust.sealed
  antiphon inspect guests/built/assemblyscript.wasm --json";

/// Compile a module ahead of time, to a file that `antiphon call` loads at once
///
/// The file holds native code. It is sealed with a key that only this user can read, and is good for this user alone, on
/// machines like this one, with this version of the program, and for calls with the same `--fuel` (any or none) and
/// `--deterministic` (any or none). Everything else is refused before any of it is run.
#[derive(Debug, Args)]
#[command(after_help = COMPILE_EXAMPLES)]
pub(crate) struct CompileArgs {
    /// The module, in the binary or the text format
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// Where the code goes
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The engine that compiles
    #[arg(long, value_name = "ENGINE", value_parser = options::engine(), default_value_t)]
    pub(crate) engine: AnyEngine,
    /// Memory that the guest may start with at most, such as `512KiB` or `64MiB`; 64MiB by default
    #[arg(long, value_name = "SIZE", value_parser = options::size)]
    pub(crate) memory: Option<u64>,
    /// Compile for calls with `--fuel`
    #[arg(long)]
    pub(crate) fuel: bool,
    /// Compile for calls with `--deterministic`
    #[arg(long)]
    pub(crate) deterministic: bool,
    /// The directory of the key, which calls then need as well; the user's own directory for caches by default
    #[arg(long, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
}

const COMPILE_EXAMPLES: &str = "\
EXAMPLES:
  antiphon compile guests/built/rust.wasm -o rust.sealed
  antiphon compile guests/built/rust.wasm -o rust.sealed --fuel
  antiphon compile guests/built/rust.wasm -o rust.sealed --cache-dir keys";

impl CompileArgs {
    /// The limits that the module is held to.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::new();
        if let Some(memory) = self.memory {
            limits = limits.with_memory(memory);
        }
        if self.fuel {
            // That there is a limit is in the code; which one is not.
            limits = limits.with_fuel(1);
        }
        limits
    }
}

/// Say which engines there are, and what each of them can do
///
/// The engines are asked, each of those that are in this build.
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

/// Make the same call on several engines, and say whether they agree
///
/// Each engine is called in both modes: once to see how the call ends, then `--repeat` times. What has to be the same
/// everywhere is how each call ends (with the same bytes, or the same kind of error, text of the guest and exit code),
/// and in the first call what the guest logs and asks its host for. Times are shown, and are never a reason against an
/// engine. The first call that fails ends the run of its engine and mode.
///
/// Modules are compiled each time, so that how long they take to load can be compared as well. What `antiphon compile` made
/// needs `--engine` with the one that made it.
///
/// A guest that draws random bytes or looks at a clock answers differently each time, unless `--deterministic` fixes
/// both. With `--fuel`, engines may differ: each counts in units of its own.
#[derive(Debug, Args)]
#[command(after_help = COMPARE_EXAMPLES)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
    /// An engine to compare; may be given many times; all engines of this build by default
    #[arg(long, value_name = "ENGINE", value_parser = options::engine())]
    pub(crate) engine: Vec<AnyEngine>,
    /// Call so many times after the first, one after the other, and show the median of how long they took
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), default_value_t = 5)]
    pub(crate) repeat: u64,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
    // Last: its heading is that of everything below it.
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
  4  the module is no waPC guest, or did not start
and in any case:
  2  wrong usage, an unreadable file, or an option that an engine lacks
  5  the outcomes differ"#;

/// Make a project
#[derive(Debug, Args)]
#[command(after_help = NEW_EXAMPLES)]
pub(crate) struct NewArgs {
    #[command(subcommand)]
    pub(crate) command: NewCommand,
}

const NEW_EXAMPLES: &str = "\
EXAMPLES:
  antiphon new guest hello-rust --lang rust";

#[derive(Debug, Subcommand)]
pub(crate) enum NewCommand {
    Guest(NewGuestArgs),
}

/// Make a guest, with all that it needs of an SDK, cases that test it, and a README with the two commands
#[derive(Debug, Args)]
#[command(after_help = NEW_GUEST_EXAMPLES)]
pub(crate) struct NewGuestArgs {
    /// The directory of the project; it must not be there yet
    #[arg(value_name = "NAME")]
    pub(crate) path: PathBuf,
    /// The language
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
}

const NEW_GUEST_EXAMPLES: &str = "\
EXAMPLES:
  antiphon new guest hello --lang c
  antiphon new guest plugins/hello-go --lang go";

/// What is tested, and how.
#[derive(Debug, Args)]
pub(crate) struct TestedArgs {
    /// The module, in the binary or the text format, or compiled by `antiphon compile`
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// The file of cases
    #[arg(long, value_name = "FILE")]
    pub(crate) cases: PathBuf,
    /// Whether the guest runs on an asynchronous host or a synchronous one; the outcome is the same
    #[arg(long, value_enum, default_value_t = Mode::Async)]
    pub(crate) mode: Mode,
    /// The engine that runs the guest
    #[arg(long, value_name = "ENGINE", value_parser = options::engine(), default_value_t)]
    pub(crate) engine: AnyEngine,
    /// End a call after this time, such as `500ms` or `2s`; 2s by default
    #[arg(long, value_name = "TIME", value_parser = options::deadline)]
    pub(crate) deadline: Option<Duration>,
    /// Memory of the guest at most, such as `512KiB` or `64MiB`; 64MiB by default
    #[arg(long, value_name = "SIZE", value_parser = options::size)]
    pub(crate) memory: Option<u64>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

impl TestedArgs {
    /// The limits of each call: these, but for what was asked for.
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

/// Call a guest as a file of cases says, and compare what comes of it
///
/// A case has an operation, and if it needs them a payload and the host calls that are answered. What it expects is an
/// answer, or an error by its kind, its text or both. Each case runs in a host of its own.
///
/// Payloads and answers are a text, or a table: `{ json = .. }` and `{ msgpack = .. }` for values, which are compared as
/// values, `{ hex = "00 ff" }` for bytes.
#[derive(Debug, Args)]
#[command(after_help = TEST_EXAMPLES)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) tested: TestedArgs,
    // Both stand below the options of the cache, and are none.
    /// Write how the cases that fail end into the file, as what they expect; all else in it stays as it is
    #[arg(long, help_heading = None)]
    pub(crate) update: bool,
    /// Write a report in JUnit's XML
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
  1  a case did not
  2  wrong usage, an unreadable file, or a file that is none of cases
  4  the module is no waPC guest, or did not start"#;

/// Run the cases of `antiphon test` again whenever the module or the file of cases changes
///
/// Ends with Ctrl-C, at once, also while a case runs. What is wrong with the module or the cases is said, and waits for the
/// next change.
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
  130  Ctrl-C: by that signal, to which shells give this number";

/// Write a shell's completions to standard output
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

/// How errors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ErrorFormat {
    /// For humans
    Text,
    /// One line, for programs
    Json,
}

impl ErrorFormat {
    /// What the user wants to read where the arguments as a whole were not understood.
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
    fn the_help_of_every_command_has_an_example() {
        fn check(command: &mut clap::Command) {
            // First: to render the help adds a command of that name.
            command.get_subcommands_mut().for_each(check);
            let help = command.render_long_help().to_string();
            assert!(help.contains("\nEXAMPLE"), "{help}");
        }
        check(&mut Cli::command());
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
    fn the_error_format_is_known_even_where_nothing_else_is() {
        let guess = |arguments: &[&str]| {
            ErrorFormat::guess(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
        };
        assert_eq!(guess(&["antiphon", "--error-format", "json", "cal"]), ErrorFormat::Json);
        assert_eq!(guess(&["antiphon", "call", "--error-format=json"]), ErrorFormat::Json);
        assert_eq!(guess(&["antiphon", "call", "--", "--error-format=json"]), ErrorFormat::Text);
    }
}
