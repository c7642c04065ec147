//! `antiphon call`.

use std::ops::ControlFlow;

use crate::args::CallArgs;
use crate::failure::Failure;
use crate::payload::{Unfit, no_bytes};
use crate::run::{self, Calls, Inputs};
use crate::terminal::{self, escape_json};

pub(crate) fn run(args: &CallArgs) -> Result<(), Failure> {
    run::ensure_available(args.engine)?;
    let inputs = Inputs::load(&args.guest)?;
    let terms = inputs.terms(&args.guest, (&args.wasi, &args.cache));
    let factory = run::factory(args.engine, &inputs.module, terms)?;
    run::warn_of_unreached_world(&args.wasi, factory.module_info());
    let calls = Calls {
        operation: &args.guest.operation,
        payload: &inputs.payload,
        limits: inputs.limits,
        handler: inputs.rules,
        log: terminal::guest_line,
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
    if args.guest.value.json.is_none() {
        return if args.raw { terminal::write(answer) } else { terminal::write_answer(answer) };
    }
    let codec = args.guest.value.codec();
    let value = match answer {
        [] => no_bytes(),
        _ => codec.decode(answer).map_err(|Unfit(reason)| Failure::Answer(codec.name(), reason))?,
    };
    terminal::write(escape_json(&format!("{value:#}\n")).as_bytes())
}
