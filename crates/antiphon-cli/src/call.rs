//! `antiphon call`.

use std::ops::ControlFlow;

use crate::calls::Calls;
use crate::cli::CallArgs;
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::{engine, messages, output, repeat};

pub(crate) fn run(args: &CallArgs) -> Result<(), Failure> {
    engine::ensure_available(args.engine)?;
    let inputs = Inputs::load(&args.guest)?;
    let factory = engine::factory(args.engine, (&args.guest, &args.wasi, &args.cache), &inputs)?;
    engine::warn_of_unreached_world(&args.wasi, factory.module_info());
    if args.repeat.is_some() || args.concurrency.is_some() {
        return output::write(&repeat::run(args, inputs, factory)?);
    }
    let calls = Calls {
        operation: &args.guest.operation,
        payload: &inputs.payload,
        limits: inputs.limits,
        handler: inputs.rules,
        log: messages::guest,
    };
    let mut last = Ok(Vec::new());
    calls.make(args.mode, &*factory, |ended, _| {
        last = ended.map(std::mem::take);
        ControlFlow::Break(())
    })?;
    output::write(&last?)
}
