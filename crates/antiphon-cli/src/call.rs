//! `antiphon call`.

use std::ops::ControlFlow;

use crate::calls::Calls;
use crate::cli::CallArgs;
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::latency::Latency;
use crate::{engine, messages, output};

pub(crate) fn run(args: &CallArgs) -> Result<(), Failure> {
    engine::ensure_available(args.engine)?;
    let inputs = Inputs::load(&args.guest)?;
    let factory = engine::factory(args.engine, (&args.guest, &args.wasi, &args.cache), &inputs)?;
    if !args.wasi.grants_nothing() && !engine::imports_wasi(factory.module_info()) {
        messages::warning("the module imports no WASI: --env, --arg and --dir do not reach it");
    }
    let calls = Calls {
        operation: &args.guest.operation,
        payload: &inputs.payload,
        limits: inputs.limits,
        handler: inputs.rules,
        log: messages::guest,
    };

    let mut latency = Latency::new()?;
    let mut left = args.repeat.unwrap_or(1);
    let mut last = Ok(Vec::new());
    let made = calls.make(args.mode, &*factory, |ended, time| {
        match ended {
            Ok(answer) => {
                latency.record(time);
                left = left.saturating_sub(1);
                if left > 0 {
                    return ControlFlow::Continue(());
                }
                last = Ok(std::mem::take(answer));
            }
            Err(error) => last = Err(error),
        }
        ControlFlow::Break(())
    });
    if args.repeat.is_some() {
        messages::plain(&latency.summary());
    }
    made?;
    output::write(&last?)
}
