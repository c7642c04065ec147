//! `antiphon call`.

use std::ops::ControlFlow;

use crate::calls::Calls;
use crate::cli::CallArgs;
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::payload::Unfit;
use crate::{engine, input, messages, output, repeat, text};

pub(crate) fn run(args: &CallArgs) -> Result<(), Failure> {
    engine::ensure_available(args.engine)?;
    let mut inputs = Inputs::load(&args.guest)?;
    if let Some(value) = &args.value.json {
        inputs.payload = input::value(args.value.codec, value, &inputs.limits)?;
    }
    let factory = engine::factory(args.engine, (&args.guest, &args.wasi, &args.cache), &inputs)?;
    engine::warn_of_unreached_world(&args.wasi, factory.module_info());
    if args.repeat.is_some() || args.concurrency.is_some() {
        return write(args, &repeat::run(args, inputs, factory)?);
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
    write(args, &last?)
}

/// Writes the answer as it is; as JSON if the payload was given with `--json`.
fn write(args: &CallArgs, answer: &[u8]) -> Result<(), Failure> {
    if args.value.json.is_none() {
        return output::write(answer);
    }
    let codec = args.value.codec;
    let value = codec.decode(answer).map_err(|Unfit(reason)| Failure::Answer(codec.name(), reason))?;
    output::write(text::json(&format!("{value:#}\n")).as_bytes())
}
