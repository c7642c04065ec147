//! The cache of compiled modules, as a command is told about it.

use std::path::PathBuf;

use clap::Args;

/// What the user says about the cache.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache of compiled modules")]
pub(crate) struct CacheArgs {
    /// Compile the module, whether its code is in the cache or not, and do not keep it
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Keep compiled modules here, and the key that seals them; in the user's own directory for caches by default
    #[arg(long, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
}

impl CacheArgs {
    /// No cache.
    pub(crate) const fn none() -> Self {
        Self { no_cache: true, cache_dir: None }
    }
}
