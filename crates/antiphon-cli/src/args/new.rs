//! The arguments of `antiphon new`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::Language;

/// Create a project
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

/// Create a guest project: one operation, its test cases, the SDK files that it needs, and a README
/// with its build and test commands; a page shows further operations to copy
#[derive(Debug, Args)]
#[command(after_help = NEW_GUEST_EXAMPLES)]
pub(crate) struct NewGuestArgs {
    /// Directory of the new project; it must not exist yet
    #[arg(value_name = "NAME")]
    pub(crate) path: PathBuf,
    /// Programming language of the guest
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
}

const NEW_GUEST_EXAMPLES: &str = "\
EXAMPLES:
  antiphon new guest hello --lang c
  antiphon new guest plugins/hello-go --lang go";
