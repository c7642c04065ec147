//! The inputs of a call, read and checked against their limits.

use std::io;

use antiphon::Limits;
use serde_json::Value;

use super::code::Module;
use super::engine::Terms;
use super::host_call::Rules;
use super::read;
use crate::args::{CacheArgs, GuestArgs, JsonSource, WasiArgs, json};
use crate::failure::Failure;
use crate::payload::{Codec, Unfit};

/// The inputs that every calling command needs.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    pub(crate) module: Module,
    pub(crate) payload: Vec<u8>,
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
}

/// How many times longer than the payload its JSON may be: a byte of a list takes up to four
/// characters, and more with white space.
const JSON: u64 = 16;

impl Inputs {
    pub(crate) fn load(args: &GuestArgs) -> Result<Self, Failure> {
        if args.has_idle_codec() {
            return Err(usage(
                "--codec has no effect",
                "there is neither --json nor a --host-call with json:",
            ));
        }
        let of_input = args.payload.as_ref().is_some_and(|payload| payload == "-")
            || args.value.json == Some(JsonSource::Input);
        if read::is_input(&args.module) && of_input {
            return Err(usage(
                "cannot read standard input twice",
                "both the module and the payload are -: name a file for one of them",
            ));
        }
        let limits = args.limits.limits();
        // The module before the payload, so that a wrong path is reported before the user types a
        // payload.
        let module = read::read_module(&args.module, &limits)?;
        let codec = args.value.codec();
        let rules = Rules::load(&args.host_call, codec, limits.host_payload_or_default())?;
        let limit = limits.request_or_default();
        let payload = match &args.value.json {
            Some(source) => {
                let value = read_json(source, "payload", limit)?;
                Some(encode(codec, &value, "payload")?).filter(|bytes| within(bytes, limit))
            }
            None => payload(args, limit)?,
        };
        let payload = payload.ok_or(Failure::TooLarge("payload", limit))?;
        Ok(Self { module, payload, rules, limits })
    }
}

impl Inputs {
    /// Returns what the module is compiled for.
    pub(crate) fn terms<'a>(
        &self,
        guest: &'a GuestArgs,
        (wasi, cache): (&'a WasiArgs, &'a CacheArgs),
    ) -> Terms<'a> {
        Terms { path: &guest.module, isolation: guest.isolation, limits: self.limits, wasi, cache }
    }
}

/// Reads a JSON value; a file or standard input may hold more than `limit` bytes of text, because a
/// value takes fewer bytes in a codec.
pub(super) fn read_json(source: &JsonSource, what: &'static str, limit: u64) -> Result<Value, Failure> {
    let limit = limit.saturating_mul(JSON);
    let (bytes, place) = match source {
        JsonSource::Value(value) => return Ok(value.clone()),
        JsonSource::File(path) => (read::read_file(what, path, limit)?, path.display().to_string()),
        JsonSource::Input => (read::read_input(what, limit)?, "from standard input".to_owned()),
    };
    let bytes = bytes.ok_or(Failure::TooLarge(what, limit))?;
    let refused = |why: String| usage(format!("cannot read the {what} {place}"), why);
    let text = String::from_utf8(bytes).map_err(|error| refused(format!("not valid JSON: {error}")))?;
    json(&text).map_err(|invalid| refused(invalid.to_string()))
}

/// Encodes a value.
pub(super) fn encode(codec: Codec, value: &Value, what: &str) -> Result<Vec<u8>, Failure> {
    codec.encode(value).map_err(|Unfit(why)| usage(format!("cannot encode the {what}"), why))
}

/// Returns whether there are at most `limit` bytes.
pub(super) fn within(bytes: &[u8], limit: u64) -> bool {
    u64::try_from(bytes.len()).is_ok_and(|length| length <= limit)
}

fn usage(what: impl Into<String>, why: impl Into<String>) -> Failure {
    Failure::Usage(what.into(), io::Error::new(io::ErrorKind::InvalidInput, why.into()))
}

/// Reads the payload from its argument, file or standard input; `None` if it has more than `limit`
/// bytes.
fn payload(args: &GuestArgs, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
    match (&args.payload, &args.payload_file) {
        (_, Some(path)) => read::read_file("payload", path, limit),
        (Some(dash), None) if dash == "-" => read::read_input("payload", limit),
        (Some(text), None) => {
            Ok(Some(text.clone().into_encoded_bytes()).filter(|bytes| within(bytes, limit)))
        }
        (None, None) => Ok(Some(Vec::new())),
    }
}
