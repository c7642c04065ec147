//! The inputs of a call, read and checked against their limits.

use std::io;

use antiphon::Limits;
use serde_json::Value;

use super::code::Module;
use super::host_call::Rules;
use super::read;
use crate::args::GuestArgs;
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

impl Inputs {
    pub(crate) fn load(args: &GuestArgs) -> Result<Self, Failure> {
        let limits = args.limits();
        // The module before the payload, so that a wrong path is reported before the user types a
        // payload.
        let module = read::read_module(&args.module, &limits)?;
        let rules = Rules::load(&args.host_call, limits.host_payload_or_default())?;
        let payload = payload(args, &limits)?;
        Ok(Self { module, payload, rules, limits })
    }

    /// Encodes a value as the payload. One over its limit is [`Failure::TooLarge`].
    pub(crate) fn encode_payload(&mut self, codec: Codec, value: &Value) -> Result<(), Failure> {
        let payload = codec.encode(value).map_err(|Unfit(what)| {
            let error = io::Error::new(io::ErrorKind::InvalidInput, what);
            Failure::Usage("cannot encode the payload".to_owned(), error)
        })?;
        let limit = self.limits.request_or_default();
        if !u64::try_from(payload.len()).is_ok_and(|length| length <= limit) {
            return Err(Failure::TooLarge("payload", limit));
        }
        self.payload = payload;
        Ok(())
    }
}

/// Reads the payload from its argument, file or standard input. One over its limit is
/// [`Failure::TooLarge`].
fn payload(args: &GuestArgs, limits: &Limits) -> Result<Vec<u8>, Failure> {
    let limit = limits.request_or_default();
    let payload = match (&args.payload, &args.payload_file) {
        (_, Some(path)) => read::read_file("payload", path, limit)?,
        (Some(dash), None) if dash == "-" => read::bounded(io::stdin().lock(), limit)
            .map_err(|error| Failure::Usage("cannot read the payload from standard input".into(), error))?,
        (Some(text), None) => Some(text.clone().into_encoded_bytes()),
        (None, None) => Some(Vec::new()),
    };
    payload.ok_or(Failure::TooLarge("payload", limit))
}
