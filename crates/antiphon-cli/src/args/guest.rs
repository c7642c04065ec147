//! The arguments about a guest that `call`, `compare` and `bench` share.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use antiphon::Limits;
use clap::Args;

use super::options::{self, Dir, Isolation, Variable};
use super::rule::Rule;
use crate::payload::Codec;

/// The module, what to call, and the limits.
#[derive(Clone, Debug, Args)]
pub(crate) struct GuestArgs {
    /// The module: binary format, text format, or an artifact of `antiphon compile`
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// The operation to call
    #[arg(value_name = "OPERATION")]
    pub(crate) operation: String,
    /// The payload; `-` reads it from standard input; empty by default
    #[arg(value_name = "PAYLOAD")]
    pub(crate) payload: Option<OsString>,
    /// Read the payload from a file
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    pub(crate) payload_file: Option<PathBuf>,
    /// Answer host calls: `BINDING/NAMESPACE/OPERATION=ANSWER` (repeatable)
    ///
    /// A part that is `*` matches anything; a single `*` instead of all three parts matches every
    /// host call. ANSWER is a text, `@FILE` for the bytes of a file, or `!TEXT` for an error. The
    /// first rule that matches answers. A host call that no rule matches is refused.
    #[arg(long, value_name = "RULE", value_parser = Rule::parse)]
    pub(crate) host_call: Vec<Rule>,
    /// End a call after this time, such as `500ms` or `2s`; 2s by default
    ///
    /// The limit applies to each call. The start of the guest has the larger of this time and 2 s.
    #[arg(long, value_name = "TIME", value_parser = options::deadline)]
    pub(crate) deadline: Option<Duration>,
    /// Most memory of the guest, such as `512KiB` or `64MiB`; 64MiB by default
    #[arg(long, value_name = "SIZE", value_parser = options::size)]
    pub(crate) memory: Option<u64>,
    /// Stack of the guest, such as `512KiB` or `8MiB`, up to 1GiB; 512KiB by default
    ///
    /// A guest that recurses deeper ends with the error `stack_overflow`.
    #[arg(long, value_name = "SIZE", value_parser = options::size)]
    pub(crate) stack: Option<u64>,
    /// Most fuel of a call, and of a start; no limit by default
    ///
    /// Each engine counts fuel in its own units.
    #[arg(long, value_name = "N")]
    pub(crate) fuel: Option<u64>,
    /// Let calls share an instance, or give each its own
    #[arg(long, value_enum, default_value_t = Isolation::Reuse)]
    pub(crate) isolation: Isolation,
}

/// The payload and the answer as values.
#[derive(Debug, Args)]
pub(crate) struct ValueArgs {
    /// Encode this JSON value as the payload, and show the answer as JSON
    #[arg(long, value_name = "JSON", value_parser = options::json, allow_negative_numbers = true, conflicts_with_all = ["payload", "payload_file"])]
    pub(crate) json: Option<serde_json::Value>,
    /// Codec that encodes `--json` and decodes the answer
    #[arg(long, value_enum, value_name = "CODEC", requires = "json", conflicts_with_all = ["payload", "payload_file"], default_value_t = Codec::Msgpack)]
    pub(crate) codec: Codec,
}

/// The WASI world of the guest.
#[derive(Debug, Args)]
#[command(next_help_heading = "WASI")]
pub(crate) struct WasiArgs {
    /// Serve the sealed WASI world to guests that import it (the default): clock, random numbers,
    /// output to the log
    #[arg(long, overrides_with = "no_wasi")]
    pub(crate) wasi: bool,
    /// Refuse guests that import WASI
    #[arg(long, conflicts_with_all = ["env", "arg", "dir"])]
    pub(crate) no_wasi: bool,
    /// Set an environment variable
    #[arg(long, value_name = "KEY=VALUE", value_parser = Variable::parse)]
    pub(crate) env: Vec<Variable>,
    /// Pass a command line argument (repeatable); the module's file name comes before the first
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, value_parser = options::argument)]
    pub(crate) arg: Vec<String>,
    /// Grant a directory, read-only with `:ro`
    #[arg(long, value_name = "HOST::GUEST[:ro]", value_parser = Dir::parse)]
    pub(crate) dir: Vec<Dir>,
    /// Make every run equal: random bytes come from this seed, and clocks stand still
    ///
    /// The sealed world draws its random bytes from SEED, its clocks show `--clock`, and waits end
    /// at once. NaNs are canonical. Fuel replaces the default deadline: 2,000,000,000 units, or
    /// `--fuel`. A deadline in time would end the same call on one machine and not on another.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["no_wasi", "dir"])]
    pub(crate) deterministic: Option<u64>,
    /// Time that the clocks of a deterministic run show, such as `2026-01-01T00:00:00Z`; 1970 by
    /// default
    #[arg(long, value_name = "TIME", requires = "deterministic", value_parser = options::clock)]
    pub(crate) clock: Option<Duration>,
}

impl WasiArgs {
    /// Returns whether the options grant nothing beyond the sealed world.
    pub(crate) fn grants_nothing(&self) -> bool {
        self.env.is_empty() && self.arg.is_empty() && self.dir.is_empty()
    }
}

impl GuestArgs {
    /// Returns the default limits with the given options applied.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::new();
        if let Some(deadline) = self.deadline {
            let init = deadline.max(limits.init_deadline_or_default());
            limits = limits.deadline(deadline).init_deadline(init);
        }
        if let Some(memory) = self.memory {
            limits = limits.memory(memory);
        }
        if let Some(stack) = self.stack {
            limits = limits.stack(stack);
        }
        if let Some(fuel) = self.fuel {
            limits = limits.fuel(fuel);
        }
        limits
    }
}
