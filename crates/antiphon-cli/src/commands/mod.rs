//! The commands, each in a file or a folder of its own.

mod bench;
mod call;
mod compare;
mod compile;
mod completions;
mod engines;
mod inspect;
mod new;
mod test;
mod watch;

use std::process::ExitCode;

use crate::args::Command;
use crate::failure::Failure;

/// Does what a command says, and returns the exit code.
pub(crate) fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Bench(args) => bench::run(args).map(|()| ExitCode::SUCCESS),
        Command::Call(args) => call::run(args).map(|()| ExitCode::SUCCESS),
        Command::Compile(args) => compile::run(args).map(|()| ExitCode::SUCCESS),
        Command::Compare(args) => compare::run(args),
        Command::Engines(args) => engines::run(args).map(|()| ExitCode::SUCCESS),
        Command::Inspect(args) => inspect::run(args),
        Command::New(args) => new::run(args).map(|()| ExitCode::SUCCESS),
        Command::Test(args) => test::run(args),
        Command::Watch(args) => watch::run(args),
        Command::Completions(args) => completions::run(args).map(|()| ExitCode::SUCCESS),
    }
}
