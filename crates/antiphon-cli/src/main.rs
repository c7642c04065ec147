//! The `antiphon` program: one file per command, and one file per concern that commands share.
//! README.md describes what the program does.

#![forbid(unsafe_code)]

mod bench;
mod bench_args;
mod bench_report;
mod call;
mod callers;
mod calls;
mod case_run;
mod cases;
mod cases_update;
mod cli;
mod code;
mod compare;
mod comparison;
mod compile;
mod completions;
mod contender;
mod echo;
mod engine;
mod engines;
mod failure;
mod guest_args;
mod host_call;
mod input;
mod inputs;
mod inspect;
mod interrupt;
mod junit;
mod latency;
mod live_line;
mod messages;
mod new;
mod numbers;
mod options;
mod output;
mod payload;
mod repeat;
mod replace;
mod report;
mod resident;
mod rival;
mod spinner;
mod tally;
mod templates;
mod test;
mod text;
mod verdict;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, ErrorFormat};
use crate::failure::Failure;
use crate::report::Report;

fn main() -> ExitCode {
    messages::install();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        // `--help` and `--version` arrive as clap errors, but they are not failures.
        Err(error) if !error.use_stderr() => {
            return output::written(error.print())
                .map_or_else(failed(ErrorFormat::Text), |()| ExitCode::SUCCESS);
        }
        Err(mut error) => {
            echo::shorten(&mut error);
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
        Command::Bench(args) => bench::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Call(args) => call::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Compile(args) => compile::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Compare(args) => compare::run(&args),
        Command::Engines(args) => engines::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Inspect(args) => inspect::run(&args),
        Command::New(args) => new::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Test(args) => test::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Completions(args) => completions::run(&args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(failed(cli.error_format))
}

/// Reports why a command failed, and returns the exit code for it.
fn failed(format: ErrorFormat) -> impl FnOnce(Failure) -> ExitCode {
    move |failure| {
        let report = Report::new(&failure);
        report.print(format);
        report.exit_code()
    }
}
