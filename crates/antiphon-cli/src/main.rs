//! The `antiphon` program: one file for each command, and one for each thing that they share. README.md says what it does.

#![forbid(unsafe_code)]

mod args;
mod bench;
mod cases;
mod commands;
mod failure;
mod payload;
mod run;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::args::cli::{Cli, Command, ErrorFormat};
use crate::args::shorten as echo;
use crate::failure::Failure;
use crate::terminal::report::Report;
use crate::terminal::{messages, output};

fn main() -> ExitCode {
    messages::install();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        // Help and version are no errors.
        Err(error) if !error.use_stderr() => {
            return output::written(error.print())
                .map_or_else(failed(ErrorFormat::Text), |()| ExitCode::SUCCESS);
        }
        Err(mut error) => {
            echo::shorten(&mut error);
            echo::suggest_bench(&mut error, &arguments);
            match ErrorFormat::guess(&arguments) {
                ErrorFormat::Text => error.exit(),
                ErrorFormat::Json => {
                    let report = Report::from_clap(&error);
                    report.print(ErrorFormat::Json);
                    return report.exit_code();
                }
            }
        }
    };
    let result = match cli.command {
        Command::Bench(args) => commands::bench::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Call(args) => commands::call::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Compile(args) => commands::compile::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Engines(args) => commands::engines::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::New(args) => commands::new::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Test(args) => commands::test::run(&args),
        Command::Watch(args) => commands::watch::run(&args),
        Command::Completions(args) => commands::completions::run(&args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(failed(cli.error_format))
}

/// Says why a command failed. Its exit code.
fn failed(format: ErrorFormat) -> impl FnOnce(Failure) -> ExitCode {
    move |failure| {
        let report = Report::new(&failure);
        report.print(format);
        report.exit_code()
    }
}
