//! The inputs of a call, read and checked against their limits.

use antiphon::Limits;

use crate::code::Module;
use crate::failure::Failure;
use crate::guest_args::GuestArgs;
use crate::host_call::Rules;
use crate::input;

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
        let module = input::module(&args.module, &limits)?;
        let rules = Rules::load(&args.host_call, limits.host_payload())?;
        let payload = input::payload(args, &limits)?;
        Ok(Self { module, payload, rules, limits })
    }
}
