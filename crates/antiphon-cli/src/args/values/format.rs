//! The format of a report.

use clap::{Args, ValueEnum};

/// The format of a report on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For humans
    Text,
    /// For programs
    Json,
}

/// The format of the report of a command that sends no payload.
#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// Format of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
    /// Short for `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl FormatArgs {
    /// Returns the format that either option asks for.
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}
