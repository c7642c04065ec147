//! Guests of asynchronous hosts: which of them leave their stack to wait, and the form of a module
//! in which they can.

use antiphon::{Conversation, HOST_NAMESPACE, wapc_functions as wapc};
use wasmtime::{Caller, InstancePre, Linker, Module, Result};

use super::compiled::Compiled;
use super::data::{Data, split};
use super::fiber::Fiber;
use super::{How, Mode};

/// Returns the form in which the imports that can wait suspend the guest. One linker serves both
/// forms: the imports that can wait are redefined over their synchronous form.
pub(super) fn form(
    linker: &mut Linker<Data>,
    module: &Module,
    _straight: &InstancePre<Data>,
) -> Result<InstancePre<Data>> {
    linker.allow_shadowing(true);
    define(linker)?;
    #[cfg(feature = "wasi")]
    super::wasi::link_suspending(linker)?;
    linker.instantiate_pre(module)
}

/// Returns how a guest of an asynchronous host runs. It suspends only where it may have to:
/// instances without such imports can also run straight.
pub(super) fn how(compiled: &Compiled, conversation: &Conversation) -> How {
    let options = &compiled.settings.options;
    let suspends = waits(compiled) || (calls_host(compiled) && conversation.can_suspend());
    match (suspends, options.cooperative) {
        (true, yields) => How { mode: Mode::Fiber(Fiber { yields }), suspends: true },
        (false, true) => How { mode: Mode::Fiber(Fiber { yields: true }), suspends: false },
        (false, false) => How::STRAIGHT,
    }
}

/// Returns whether the guest imports a function that always suspends it: WASI's `poll_oneoff`.
fn waits(compiled: &Compiled) -> bool {
    compiled.info.imports.iter().any(|import| import.name == "poll_oneoff" && import.module != "wapc")
}

fn calls_host(compiled: &Compiled) -> bool {
    compiled.info.import(HOST_NAMESPACE, wapc::HOST_CALL).is_some()
}

/// Redefines the one import that can wait, for guests that may suspend.
fn define(linker: &mut Linker<Data>) -> Result<()> {
    linker.func_wrap_async(
        wapc::HOST_NAMESPACE,
        wapc::HOST_CALL,
        |mut guest: Caller<'_, Data>, (a, b, c, d, e, f, g, h): (i32, i32, i32, i32, i32, i32, i32, i32)| {
            antiphon::provider::boxed(|| async move {
                let (memory, data) = split(&mut guest);
                Ok::<i32, wasmtime::Error>(
                    data.conversation.host_call_async(memory, [a, b, c, d, e, f, g, h]).await?,
                )
            })
        },
    )?;
    Ok(())
}
