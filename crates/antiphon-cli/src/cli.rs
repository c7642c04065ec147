//! What the program understands: commands, arguments, and the help with its examples.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use antiphon::Limits;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::host_call::Rule;
use crate::options::{self, Dir, Variable};

/// Calls operations of waPC guests, and looks at what a module is.
///
/// Exit codes: 0 answered; 1 the guest reported a failure; 2 wrong usage, or an option that the engine lacks;
/// 3 the call failed in another way (trap, deadline, limit); 4 the module is no waPC guest, or did not start.
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
  antiphon inspect guests/built/rust.wasm
  antiphon completions bash > antiphon.bash";

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in the whole program")]
pub(crate) enum Command {
    Call(CallArgs),
    Inspect(InspectArgs),
    Completions(CompletionsArgs),
}

/// Call an operation of a guest
///
/// The bytes of the response, and nothing else, go to standard output; what the guest logs, and everything that the
/// program itself has to say, to standard error. A call ends after 2 s and a guest gets 64 MiB of memory unless the
/// options say otherwise.
#[derive(Debug, Args)]
#[command(after_help = CALL_EXAMPLES)]
pub(crate) struct CallArgs {
    /// The module, in the binary or the text format
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// The operation to call
    #[arg(value_name = "OPERATION")]
    pub(crate) operation: String,
    /// The payload; `-` reads it from standard input; empty by default
    #[arg(value_name = "PAYLOAD")]
    pub(crate) payload: Option<OsString>,
    /// Read the payload from a file
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    pub(crate) payload_file: Option<PathBuf>,
    /// Answer host calls: `BINDING/NAMESPACE/OPERATION=ANSWER`
    ///
    /// A part that is `*` matches anything, and so does a bare `*` instead of all three. The answer is a text, `@FILE`
    /// for the bytes of a file, or `!TEXT` for an error. May be given many times: the first rule that matches answers.
    /// A host call that no rule matches is refused.
    #[arg(long, value_name = "RULE", value_parser = Rule::parse)]
    pub(crate) host_call: Vec<Rule>,
    /// End a call after this time, such as `500ms` or `2s`; 2s by default
    ///
    /// It counts for each call. The start of the guest may take as long, and 2 s in any case.
    #[arg(long, value_name = "TIME", value_parser = options::deadline)]
    pub(crate) deadline: Option<Duration>,
    /// Memory of the guest at most, such as `512KiB` or `64MiB`; 64MiB by default
    #[arg(long, value_name = "SIZE", value_parser = options::size)]
    pub(crate) memory: Option<u64>,
    /// Whether the guest runs on an asynchronous host or a synchronous one; the outcome is the same
    #[arg(long, value_enum, default_value_t = Mode::Async)]
    pub(crate) mode: Mode,
    /// The engine that runs the guest
    #[arg(long, value_enum, default_value_t = Engine::Wasmtime)]
    pub(crate) engine: Engine,
    /// Call so many times, one after the other, and sum up how long it took
    ///
    /// The response of the last call goes to standard output, the summary to standard error. The first call that fails
    /// ends it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) repeat: Option<u64>,
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
  antiphon call guests/built/rust.wasm echo hello --repeat 1000 --mode sync
  antiphon call guests/built/assemblyscript.wasm echo hello --deadline 500ms --memory 16MiB
  antiphon call guests/built/rust.wasm echo --error-format json -- --a-payload-with-dashes

EXIT CODES:
  0  the guest answered
  1  the guest reported a failure
  2  wrong usage, an unreadable file, or an option that the engine lacks
  3  the call failed in another way: a trap, a deadline, a limit
  4  the module is no waPC guest, or did not start"#;

/// What a guest that speaks WASI gets to see.
#[derive(Debug, Args)]
#[command(next_help_heading = "WASI")]
pub(crate) struct WasiArgs {
    /// Serve the sealed WASI world to guests that import it (the default): clock, random, output to the log
    #[arg(long, overrides_with = "no_wasi")]
    pub(crate) wasi: bool,
    /// Refuse guests that import WASI
    #[arg(long, conflicts_with_all = ["env", "arg", "dir"])]
    pub(crate) no_wasi: bool,
    /// Set an environment variable
    #[arg(long, value_name = "KEY=VALUE", value_parser = Variable::parse)]
    pub(crate) env: Vec<Variable>,
    /// Pass a command line argument; the first one is preceded by the module's file name
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, value_parser = options::argument)]
    pub(crate) arg: Vec<String>,
    /// Grant a directory, read-only with `:ro`
    #[arg(long, value_name = "HOST::GUEST[:ro]", value_parser = Dir::parse)]
    pub(crate) dir: Vec<Dir>,
}

/// Say what a module is, and whether it is a waPC guest
///
/// Exits with 0 if it is one and with 4 if it is not, for every reason that is listed. Nothing of the module is run.
#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub(crate) struct InspectArgs {
    /// The module, in the binary or the text format
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const INSPECT_EXAMPLES: &str = "\
EXAMPLES:
  antiphon inspect guests/built/rust.wasm
  antiphon inspect guests/built/assemblyscript.wasm --json";

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

/// Which host runs the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Async,
    Sync,
}

/// Which engine runs the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Wasmtime,
}

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

impl WasiArgs {
    /// Whether the guest is given nothing but the sealed world.
    pub(crate) fn grants_nothing(&self) -> bool {
        self.env.is_empty() && self.arg.is_empty() && self.dir.is_empty()
    }
}

impl CallArgs {
    /// The limits of the call: the safe ones, but for what was asked for.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::new();
        if let Some(deadline) = self.deadline {
            let init = deadline.max(limits.init_deadline());
            limits = limits.with_deadline(deadline).with_init_deadline(init);
        }
        if let Some(memory) = self.memory {
            limits = limits.with_memory(memory);
        }
        limits
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
        let limits = call(&[]).unwrap().limits();
        assert_eq!((limits.explicit_deadline(), limits.memory()), (None, 64 << 20));

        let limits = call(&["--deadline", "10ms", "--memory", "1MiB"]).unwrap().limits();
        assert_eq!((limits.deadline(), limits.memory()), (Duration::from_millis(10), 1 << 20));
        assert_eq!(limits.init_deadline(), Duration::from_secs(2));

        let limits = call(&["--deadline", "1m"]).unwrap().limits();
        assert_eq!(limits.init_deadline(), Duration::from_secs(60));
    }

    #[test]
    fn a_payload_is_an_argument_or_a_file_and_not_both() {
        assert_eq!(call(&["-"]).unwrap().payload.unwrap(), "-");
        assert_eq!(call(&["--", "--x"]).unwrap().payload.unwrap(), "--x");
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
