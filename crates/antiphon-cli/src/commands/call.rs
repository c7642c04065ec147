//! `antiphon call`.

use std::ops::ControlFlow;

use crate::args::cli::CallArgs;
use crate::failure::Failure;
use crate::payload::forms::Unfit;
use crate::run::calls::Calls;
use crate::run::engine;
use crate::run::inputs::Inputs;
use crate::run::read as input;
use crate::terminal::messages;
use crate::terminal::output;
use crate::terminal::text;

pub(crate) fn run(args: &CallArgs) -> Result<(), Failure> {
    engine::ensure_available(args.engine)?;
    let mut inputs = Inputs::load(&args.guest)?;
    if let Some(value) = &args.value.json {
        inputs.payload = input::value(args.value.codec, value, &inputs.limits)?;
    }
    let factory = engine::factory(args.engine, (&args.guest, &args.wasi, &args.cache), &inputs)?;
    engine::warn_of_unreached_world(&args.wasi, factory.module_info());
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

/// The answer as it is, or as JSON where the payload was.
fn write(args: &CallArgs, answer: &[u8]) -> Result<(), Failure> {
    if args.value.json.is_none() {
        return output::write(answer);
    }
    let codec = args.value.codec;
    let value = codec.decode(answer).map_err(|Unfit(reason)| Failure::Answer(codec.name(), reason))?;
    output::write(text::json(&format!("{value:#}\n")).as_bytes())
}
