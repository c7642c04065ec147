//! The arguments about a guest that `call`, `compare` and `bench` share.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::limits::LimitArgs;
use super::values::{self, Answer, Dir, Isolation, JsonSource, Rule, Variable};
use crate::payload::Codec;

/// The module, what to call, and the limits.
#[derive(Clone, Debug, Args)]
pub(crate) struct GuestArgs {
    /// The module: binary format, text format, or an artifact of `antiphon compile`; `-` reads
    /// standard input
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
    #[command(flatten)]
    pub(crate) value: ValueArgs,
    /// Answer host calls: `BINDING/NAMESPACE/OPERATION=ANSWER` (repeatable)
    ///
    /// A part that is `*` matches anything; a single `*` instead of all three parts matches every
    /// host call. `\/` is a slash within a binding or a namespace; `\=`, `\*` and `\\` stand for
    /// the second character. ANSWER is a text, `@FILE` for the bytes of a file, `json:JSON` or
    /// `json:@FILE` for a value that `--codec` encodes, `text:TEXT` for a text that begins like one
    /// of these, or `!TEXT` for an error. The first rule that matches answers. A host call that no
    /// rule matches is refused.
    #[arg(long, value_name = "RULE", value_parser = Rule::parse)]
    pub(crate) host_call: Vec<Rule>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Let calls share an instance, or give each its own
    #[arg(long, value_enum, default_value_t = Isolation::Reuse)]
    pub(crate) isolation: Isolation,
}

/// The payload and the answer as values.
#[derive(Clone, Debug, Args)]
pub(crate) struct ValueArgs {
    /// Encode this JSON value as the payload: JSON, `@FILE`, or `-` for standard input
    ///
    /// `call` then shows the answer as JSON too. What MessagePack has and JSON lacks is an object
    /// with one marked key: `{"$bin_text": "hi"}` and `{"$bin_base64": "AP8="}` are a binary (text
    /// where it is UTF-8), `{"$ext": [5, "AQI="]}` is an extension with its type and its bytes in
    /// base64, `{"$map": [[1, "a"]]}` is a map with keys that are no texts, `{"$float": "NaN"}` is
    /// a number that JSON lacks. `{"$empty": true}` is an answer of no bytes.
    #[arg(long, value_name = "JSON", value_parser = JsonSource::parse, allow_negative_numbers = true, conflicts_with_all = ["payload", "payload_file"])]
    pub(crate) json: Option<JsonSource>,
    /// Codec of `--json`, of the answer, and of `json:` in `--host-call`; msgpack by default
    #[arg(long, value_enum, value_name = "CODEC")]
    codec: Option<Codec>,
}

impl ValueArgs {
    /// Returns the codec that was chosen, or the default one.
    pub(crate) fn codec(&self) -> Codec {
        self.codec.unwrap_or(Codec::Msgpack)
    }
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
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, value_parser = values::argument)]
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
    #[arg(long, value_name = "TIME", requires = "deterministic", value_parser = values::clock)]
    pub(crate) clock: Option<Duration>,
}

impl WasiArgs {
    /// Returns whether the options grant nothing beyond the sealed world.
    pub(crate) fn grants_nothing(&self) -> bool {
        self.env.is_empty() && self.arg.is_empty() && self.dir.is_empty()
    }
}

impl GuestArgs {
    /// Returns whether `--codec` was given and encodes nothing.
    pub(crate) fn has_idle_codec(&self) -> bool {
        let answers = || self.host_call.iter().any(|rule| matches!(rule.answer, Answer::Json(_)));
        self.value.codec.is_some() && self.value.json.is_none() && !answers()
    }
}
