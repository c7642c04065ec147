//! What a command is given to call a guest with, read and within its limits.

use antiphon::Limits;

use crate::args::guest::GuestArgs;
use crate::failure::Failure;
use crate::run::code::Module;
use crate::run::host_call::Rules;
use crate::run::read as input;

/// The inputs of every command that calls.
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
        // The module before the payload: a wrong path is known before somebody types a payload.
        let module = input::module(&args.module, &limits)?;
        let rules = Rules::load(&args.host_call, limits.host_payload())?;
        let payload = input::payload(args, &limits)?;
        Ok(Self { module, payload, rules, limits })
    }
}
