//! What a command is told about the guest that it calls: `call`, `compare` and `bench` understand the same.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use antiphon::Limits;
use clap::Args;

use super::options::{self, Dir, Isolation, Variable};
use super::rule::Rule;
use crate::payload::Codec;

/// The module, what to call, and within which limits.
#[derive(Clone, Debug, Args)]
pub(crate) struct GuestArgs {
    /// The module, in the binary or the text format, or compiled by `antiphon compile`
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
    /// Answer host calls: `BINDING/NAMESPACE/OPERATION=ANSWER`
    ///
    /// A part that is `*` matches anything, and so does a bare `*` instead of all three. The answer is a text, `@FILE`
    /// for the bytes of a file, or `!TEXT` for an error. May be given many times: the first rule that matches answers.
    /// A host call that no rule matches is refused.
    #[arg(long, value_name = "RULE", value_parser = Rule::parse)]
    pub(crate) host_call: Vec<Rule>,
    /// End a call after this time, such as `500ms` or `2s`; 2s by default
    ///
    /// It counts for each call. The start of the guest may take as long, and 2 s in any case.
    #[arg(long, value_name = "TIME", value_parser = options::deadline)]
    pub(crate) deadline: Option<Duration>,
    /// Memory of the guest at most, such as `512KiB` or `64MiB`; 64MiB by default
    #[arg(long, value_name = "SIZE", value_parser = options::size)]
    pub(crate) memory: Option<u64>,
    /// Fuel of a call, and of a start, at most; no limit by default
    ///
    /// What a unit of fuel pays for is the engine's own affair.
    #[arg(long, value_name = "N")]
    pub(crate) fuel: Option<u64>,
    /// Whether calls share an instance, or each has one of its own
    #[arg(long, value_enum, default_value_t = Isolation::Reuse)]
    pub(crate) isolation: Isolation,
}

/// A payload and an answer as values.
#[derive(Debug, Args)]
pub(crate) struct ValueArgs {
    /// Encode this JSON value as the payload, and show the answer as JSON
    #[arg(long, value_name = "JSON", value_parser = options::json, allow_negative_numbers = true, conflicts_with_all = ["payload", "payload_file"])]
    pub(crate) json: Option<serde_json::Value>,
    /// What `--json` is encoded as, and the answer decoded from
    #[arg(long, value_enum, value_name = "CODEC", requires = "json", conflicts_with_all = ["payload", "payload_file"], default_value_t = Codec::Msgpack)]
    pub(crate) codec: Codec,
}

/// What a guest that speaks WASI gets to see.
#[derive(Debug, Args)]
#[command(next_help_heading = "WASI")]
pub(crate) struct WasiArgs {
    /// Serve the sealed WASI world to guests that import it (the default): clock, random, output to the log
    #[arg(long, overrides_with = "no_wasi")]
    pub(crate) wasi: bool,
    /// Refuse guests that import WASI
    #[arg(long, conflicts_with_all = ["env", "arg", "dir"])]
    pub(crate) no_wasi: bool,
    /// Set an environment variable
    #[arg(long, value_name = "KEY=VALUE", value_parser = Variable::parse)]
    pub(crate) env: Vec<Variable>,
    /// Pass a command line argument; the first one is preceded by the module's file name
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, value_parser = options::argument)]
    pub(crate) arg: Vec<String>,
    /// Grant a directory, read-only with `:ro`
    #[arg(long, value_name = "HOST::GUEST[:ro]", value_parser = Dir::parse)]
    pub(crate) dir: Vec<Dir>,
    /// Make each run like every other: random bytes come from this number, clocks stand still
    ///
    /// The sealed world takes its random bytes from the seed, its clock shows `--clock`, and waits are over at once. NaNs
    /// are canonical. Fuel ends a guest instead of the default deadline: 2,000,000,000 units, or `--fuel`.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["no_wasi", "dir"])]
    pub(crate) deterministic: Option<u64>,
    /// What the clocks of a deterministic run show, such as `2026-01-01T00:00:00Z`; 1970 by default
    #[arg(long, value_name = "TIME", requires = "deterministic", value_parser = options::clock)]
    pub(crate) clock: Option<Duration>,
}

impl WasiArgs {
    /// Whether the guest is given nothing but the sealed world.
    pub(crate) fn grants_nothing(&self) -> bool {
        self.env.is_empty() && self.arg.is_empty() && self.dir.is_empty()
    }
}

impl GuestArgs {
    /// The limits of the call: the safe ones, but for what was asked for.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::new();
        if let Some(deadline) = self.deadline {
            let init = deadline.max(limits.init_deadline());
            limits = limits.with_deadline(deadline).with_init_deadline(init);
        }
        if let Some(memory) = self.memory {
            limits = limits.with_memory(memory);
        }
        if let Some(fuel) = self.fuel {
            limits = limits.with_fuel(fuel);
        }
        limits
    }
}
