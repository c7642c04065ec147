//! The command line: commands, arguments, and the help texts with their examples.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::bench::BenchArgs;
use super::call::CallArgs;
use super::compare::CompareArgs;
use super::compile::CompileArgs;
use super::inspect::InspectArgs;
use super::new::NewArgs;
use super::test::{TestArgs, WatchArgs};
use super::values::FormatArgs;

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
    /// Show what the program does besides: what it compiles and for how long, what its cache has
    ///
    /// `RUST_LOG` chooses in detail, such as `antiphon=debug` or `antiphon::pool=trace`. It
    /// replaces the default, which shows warnings.
    #[arg(long, short, global = true, display_order = 100)]
    pub(crate) verbose: bool,
    /// Format of all lines on standard error
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
Commands of operators, which the program antiphon-server does:
  serve     Serve a folder of modules, or one module, over HTTP
  config    Check a configuration, show it, or print an example
  call      With --url: call an operation of a module on a server
  status    Show the modules of a server
  deploy    Serve another version of a module, or begin a canary with it
  promote   Make a module's canary the version that serves
  rollback  End a module's canary, or go back to the version before
  drain     End a module's calls
  retry     Try a module's quarantined versions again
  remove    Remove a module from a server
  logs      Follow the lines that a module's guests write
  events    Follow what happens on a server

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

/// List the engines and their capabilities
///
/// Each engine in this build is asked for its own capabilities.
#[derive(Debug, Args)]
#[command(after_help = ENGINES_EXAMPLES)]
pub(crate) struct EnginesArgs {
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

const ENGINES_EXAMPLES: &str = "\
EXAMPLES:
  antiphon engines
  antiphon engines --format json";

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

/// The format of error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ErrorFormat {
    /// For humans
    Text,
    /// One object a line, for programs
    Json,
}

impl ErrorFormat {
    /// Returns the requested format, found without clap, for arguments that clap could not parse.
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
    use std::time::Duration;

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
        let limits = call(&[]).unwrap().guest.limits.limits();
        assert_eq!((limits.deadline, limits.memory_or_default()), (None, 64 << 20));

        let limits = call(&["--deadline", "10ms", "--memory", "1MiB"]).unwrap().guest.limits.limits();
        assert_eq!(
            (limits.deadline_or_default(), limits.memory_or_default()),
            (Duration::from_millis(10), 1 << 20)
        );
        assert_eq!(limits.init_deadline_or_default(), Duration::from_secs(2));

        let limits = call(&["--deadline", "1m"]).unwrap().guest.limits.limits();
        assert_eq!(limits.init_deadline_or_default(), Duration::from_secs(60));
    }

    #[test]
    fn fuel_is_no_limit_unless_it_is_asked_for() {
        assert_eq!(call(&[]).unwrap().guest.limits.limits().fuel, None);
        assert_eq!(call(&["--fuel", "9"]).unwrap().guest.limits.limits().fuel, Some(9));
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
