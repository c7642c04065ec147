//! The command line: commands, arguments, and the help texts with their examples.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Serves waPC modules over HTTP, and talks to servers.
///
/// Exit codes: 0 done; 1 the guest reported a failure; 2 wrong usage, or a configuration with a
/// problem; 3 the server, the system or the call failed in another way; 4 the module is not a waPC
/// guest, or did not start; 130 and 143 ended at once by a second SIGINT or SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "antiphon-server", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Format of errors on standard error
    #[arg(long, global = true, value_enum, display_order = 100, value_name = "FORMAT", default_value_t = ErrorFormat::Text)]
    pub(crate) error_format: ErrorFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
EXAMPLES:
  antiphon-server serve
  antiphon-server serve guests/built/rust.wasm
  antiphon-server config check
  antiphon-server status
  antiphon-server deploy pricing build/pricing.wasm --share 10
  antiphon-server promote pricing
  antiphon-server call --url http://127.0.0.1:7470 pricing quote '{\"item\": 7}'";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(ServeArgs),
    Config(ConfigArgs),
    Status(StatusArgs),
    Deploy(DeployArgs),
    /// Make a module's canary the version that serves
    #[command(after_help = "EXAMPLE:\n  antiphon-server promote pricing")]
    Promote(ChangeArgs),
    /// End a module's canary, or go back to the version before
    #[command(after_help = "EXAMPLE:\n  antiphon-server rollback pricing")]
    Rollback(ChangeArgs),
    /// End a module's calls; it refuses calls until it is promoted, rolled back or deployed again
    #[command(after_help = "EXAMPLE:\n  antiphon-server drain pricing")]
    Drain(ChangeArgs),
    /// Try a module's quarantined versions again
    #[command(after_help = "EXAMPLE:\n  antiphon-server retry pricing")]
    Retry(ChangeArgs),
    /// Remove a module from a server
    #[command(after_help = "EXAMPLE:\n  antiphon-server remove pricing")]
    Remove(ChangeArgs),
    Logs(LogsArgs),
    Events(EventsArgs),
    Call(CallArgs),
}

/// Serve a folder of modules, or one module, over HTTP
///
/// Each module `NAME.wasm` of the folder serves as `NAME`. New files, changed files and a changed
/// configuration are taken over while the server serves. SIGTERM and Ctrl-C end it: what was
/// accepted is answered first. A second one ends it at once. SIGHUP reads the configuration again.
#[derive(Debug, Args)]
#[command(after_help = "\
EXAMPLES:
  antiphon-server serve
  antiphon-server serve guests/built/rust.wasm
  antiphon-server serve --config /etc/antiphon/antiphon.toml --listen 127.0.0.1:8080")]
pub(crate) struct ServeArgs {
    /// The folder of modules, or one module; `server.modules` of the configuration by default
    #[arg(value_name = "MODULES", conflicts_with = "modules")]
    pub(crate) place: Option<String>,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Args)]
pub(crate) struct SourceArgs {
    /// The configuration; `antiphon.toml` of this folder by default, if it is there
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The folder of modules, or one module
    #[arg(long, value_name = "DIR_OR_FILE")]
    pub(crate) modules: Option<String>,
    /// The address for calls, such as `127.0.0.1:7470`
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// The address for operators, such as `127.0.0.1:7471`
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<String>,
}

/// Check a configuration, show it, or print an example
#[derive(Debug, Args)]
#[command(after_help = CONFIG_EXAMPLES)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

const CONFIG_EXAMPLES: &str = "\
EXAMPLES:
  antiphon-server config check
  antiphon-server config example > antiphon.toml
  antiphon-server config show --config /etc/antiphon/antiphon.toml";

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say all that is wrong with a configuration
    #[command(after_help = "EXAMPLE:\n  antiphon-server config check --config antiphon.toml")]
    Check(SourceArgs),
    /// Print a configuration with every key, at its default
    #[command(after_help = "EXAMPLE:\n  antiphon-server config example > antiphon.toml")]
    Example,
    /// Print each key with its value, and where that comes from
    #[command(after_help = "EXAMPLE:\n  antiphon-server config show")]
    Show {
        #[command(flatten)]
        sources: SourceArgs,
        /// Format of the list
        #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
        format: Format,
    },
}

/// The server that a command talks to.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServerArgs {
    /// The file with the token, if the server wants one; `ANTIPHON_TOKEN` has the token itself
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The file with the authorities of the server's certificate, for `https:`
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The file with the client's certificate, if the server wants one
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// The file with the private key of the client's certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}

/// The operators' port of a server.
#[derive(Clone, Debug, Args)]
pub(crate) struct AdminArgs {
    /// The operators' address of the server; that of `ANTIPHON_ADMIN_URL` by default, or
    /// `http://127.0.0.1:7471`
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Show the modules of a server, or one of them in detail
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:\n  antiphon-server status\n  antiphon-server status pricing --format json")]
pub(crate) struct StatusArgs {
    /// The module; all of them by default
    #[arg(value_name = "MODULE")]
    pub(crate) module: Option<String>,
    /// Format of the answer
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// Serve another version of a module, for all calls or as a canary for a share of them
///
/// The version is compiled and started aside first. If that fails, the old one serves on.
#[derive(Debug, Args)]
#[command(after_help = "\
EXAMPLES:
  antiphon-server deploy pricing build/pricing.wasm
  antiphon-server deploy pricing build/pricing.wasm --share 10 --note 'new rates'")]
pub(crate) struct DeployArgs {
    /// The module's name
    #[arg(value_name = "MODULE")]
    pub(crate) module: String,
    /// The file of the version
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The share of calls that it gets as a canary, in percent; all calls by default
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99))]
    pub(crate) share: Option<u8>,
    /// What others should know about it
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// The digest that the file has to have, as `sha256:` and 64 hexadecimal digits
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<String>,
    #[command(flatten)]
    pub(crate) revision: RevisionArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// The state of the module that a change begins at.
#[derive(Clone, Debug, Args)]
pub(crate) struct RevisionArgs {
    /// Change the module only if this is its revision, which `status` shows; the newest by default
    #[arg(long, value_name = "N")]
    pub(crate) revision: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// The module's name
    #[arg(value_name = "MODULE")]
    pub(crate) module: String,
    #[command(flatten)]
    pub(crate) revision: RevisionArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// Follow the lines that a module's guests write
///
/// It begins with what the server keeps, and goes on until Ctrl-C, also after the server starts
/// again.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:\n  antiphon-server logs pricing\n  antiphon-server logs pricing --for 10s")]
pub(crate) struct LogsArgs {
    /// The module's name
    #[arg(value_name = "MODULE")]
    pub(crate) module: String,
    #[command(flatten)]
    pub(crate) follow: FollowArgs,
}

/// Follow what happens on a server
///
/// It begins with what the server keeps, and goes on until Ctrl-C, also after the server starts
/// again.
#[derive(Debug, Args)]
#[command(
    after_help = "EXAMPLES:\n  antiphon-server events\n  antiphon-server events --for 1s --format json"
)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) follow: FollowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FollowArgs {
    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) time: Option<Duration>,
    /// Format of the lines
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// Call an operation of a module on a server, and write its answer to standard output
#[derive(Debug, Args)]
#[command(after_help = "\
EXAMPLES:
  antiphon-server call --url http://127.0.0.1:7470 rust echo hello
  antiphon-server call --url http://127.0.0.1:7470 rust echo --payload-file request.bin --timeout 100ms")]
pub(crate) struct CallArgs {
    /// The server's address for calls; that of `ANTIPHON_URL` by default, or `http://127.0.0.1:7470`
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The module's name
    #[arg(value_name = "MODULE")]
    pub(crate) module: String,
    /// The operation
    #[arg(value_name = "OPERATION")]
    pub(crate) operation: String,
    /// The payload; empty by default
    #[arg(value_name = "PAYLOAD", conflicts_with = "payload_file")]
    pub(crate) payload: Option<String>,
    /// The file with the payload; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) payload_file: Option<PathBuf>,
    /// The time that the call may take; the module's limit by default
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err("expected a time above zero, such as 500ms or 2s".to_owned()),
        Err(error) => Err(format!("expected a time such as 500ms or 2s: {error}")),
    }
}

/// The format of what a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For humans
    Text,
    /// For programs
    Json,
}

/// The format of errors.
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
        let mut pairs = options().zip(options().skip(1));
        let json = options().any(|argument| argument == "--error-format=json")
            || pairs.any(|(option, value)| option == "--error-format" && value == "json");
        if json { Self::Json } else { Self::Text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together_and_every_help_has_an_example() {
        fn check(command: &mut clap::Command) {
            // First: to render the help adds a command of that name.
            command.get_subcommands_mut().for_each(check);
            let help = command.render_long_help().to_string();
            assert!(help.contains("\nEXAMPLE"), "{help}");
        }
        Cli::command().debug_assert();
        check(&mut Cli::command());
    }
}
