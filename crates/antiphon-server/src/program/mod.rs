//! The program: its arguments, its commands, and what it writes.

mod args;
mod call;
mod client;
mod config;
mod failure;
mod logging;
mod operator;
mod serve;
mod stream;
mod terminal;
mod tls;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command, ErrorFormat};
use failure::Failure;

/// Does what the arguments say.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        // `--help` and `--version` arrive as errors, but they are none.
        Err(error) if !error.use_stderr() => {
            return match terminal::flushed(error.print()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => failure.report(ErrorFormat::Text),
            };
        }
        Err(error) => match ErrorFormat::guess(&arguments) {
            ErrorFormat::Text => error.exit(),
            ErrorFormat::Json => return Failure::of_clap(&error).report(ErrorFormat::Json),
        },
    };
    let format = cli.error_format;
    run(cli.command).unwrap_or_else(|failure| failure.report(format))
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::system("cannot start the runtime", &error))
    };
    match command {
        Command::Serve(args) => serve::run(&runtime()?, args),
        Command::Config(args) => config::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Call(args) => runtime()?.block_on(call::run(args)).map(|()| ExitCode::SUCCESS),
        Command::Logs(args) => runtime()?.block_on(stream::logs(args)).map(|()| ExitCode::SUCCESS),
        Command::Events(args) => runtime()?.block_on(stream::events(args)).map(|()| ExitCode::SUCCESS),
        Command::Status(args) => runtime()?.block_on(operator::status(args)).map(|()| ExitCode::SUCCESS),
        Command::Deploy(args) => runtime()?.block_on(operator::deploy(args)).map(|()| ExitCode::SUCCESS),
        Command::Promote(args) => {
            runtime()?.block_on(operator::change("promote", args)).map(|()| ExitCode::SUCCESS)
        }
        Command::Rollback(args) => {
            runtime()?.block_on(operator::change("rollback", args)).map(|()| ExitCode::SUCCESS)
        }
        Command::Drain(args) => {
            runtime()?.block_on(operator::change("drain", args)).map(|()| ExitCode::SUCCESS)
        }
        Command::Retry(args) => {
            runtime()?.block_on(operator::change("retry", args)).map(|()| ExitCode::SUCCESS)
        }
        Command::Remove(args) => runtime()?.block_on(operator::remove(args)).map(|()| ExitCode::SUCCESS),
    }
}
