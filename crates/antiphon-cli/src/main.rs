//! The `antiphon` program: a module for each command, and one for each concern that they share.
//! README.md describes what the program does.

#![forbid(unsafe_code)]

mod args;
mod bench;
mod cases;
mod commands;
mod failure;
mod handover;
mod lock;
mod payload;
mod run;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, ErrorFormat, shorten, suggest_bench, suggest_format};
use crate::failure::Failure;
use crate::terminal::Report;

fn main() -> ExitCode {
    survive_file_limits();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(handed) = handover::arguments(&arguments) {
        return handover::run(&handed).unwrap_or_else(failed(ErrorFormat::guess(&arguments)));
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        // `--help` and `--version` arrive as clap errors, but they are not failures.
        Err(error) if !error.use_stderr() => {
            return terminal::flushed(error.print())
                .map_or_else(failed(ErrorFormat::Text), |()| ExitCode::SUCCESS);
        }
        Err(mut error) => {
            shorten(&mut error);
            suggest_bench(&mut error, &arguments);
            suggest_format(&mut error, &arguments);
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
    terminal::set_format(cli.error_format);
    terminal::show_library_messages(cli.verbose);
    commands::run(&cli.command).unwrap_or_else(failed(cli.error_format))
}

/// Lets a write beyond the limit on the size of files (`ulimit -f`) fail, instead of ending the
/// program by SIGXFSZ: a module that cannot be kept in the cache is compiled, with a warning.
fn survive_file_limits() {
    // A signal that is caught, by whatever handler, does not end the program. If this fails, a
    // write beyond the limit does.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(libc::SIGXFSZ, std::sync::Arc::default());
}

/// Reports why a command failed, and returns the exit code for it.
fn failed(format: ErrorFormat) -> impl FnOnce(Failure) -> ExitCode {
    move |failure| {
        let report = Report::new(&failure);
        report.print(format);
        report.exit_code()
    }
}
