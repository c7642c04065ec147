//! The cache of compiled modules, as a command is told about it.

use std::path::PathBuf;

use clap::Args;

/// Options of the cache of compiled modules.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache of compiled modules")]
pub(crate) struct CacheArgs {
    /// Compile the module even if its code is cached, and do not cache the result
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Directory of compiled modules and of the key that seals them; by default the user's cache
    /// directory
    #[arg(long, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
}

impl CacheArgs {
    /// Turns the cache off.
    pub(crate) const fn none() -> Self {
        Self { no_cache: true, cache_dir: None }
    }
}
