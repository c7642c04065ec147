//! `antiphon completions`.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Failure;
use crate::terminal;

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    // Through a buffer, because clap_complete panics if a write to standard output fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "antiphon", &mut script);
    terminal::write(&script)
}
