//! The WASI world as imports of a guest.

use antiphon::errors::Error;
use antiphon::wapc_functions::{ABORT_NAMESPACE, SEED_FN};
use antiphon::{Conversation, ModuleInfo};
pub(super) use antiphon_wasi::World;
use antiphon_wasi::host::{Guest, imports_seed};
pub(super) use antiphon_wasi::host::{import_type, session, world};
use antiphon_wasi::{Abi, MODULES, Wait};
use wasmtime::{Caller, Linker, Result};

use super::data::{Data, split};
use super::deadline::check;
use crate::engine::Ticks;

/// What a guest has of the world.
pub(super) type Session = Box<antiphon_wasi::Session>;

/// Sends what the guest wrote without ending its line to the log.
#[inline]
pub(super) fn flush(session: &mut Option<Session>, conversation: &mut Conversation) -> Result<(), Error> {
    antiphon_wasi::host::flush(session.as_deref_mut(), conversation)
}

/// Defines WASI's functions if the module imports any, and `env.seed`.
pub(super) fn link(linker: &mut Linker<Data>, info: &ModuleInfo) -> Result<()> {
    if imports_seed(info) {
        linker.func_wrap(ABORT_NAMESPACE, SEED_FN, |mut caller: Caller<'_, Data>| {
            with(&mut caller, Abi::Preview1, |guest| guest.seed())
        })?;
    }
    if !info.imports_from(&MODULES.map(|(module, _)| module)) {
        return Ok(());
    }
    for (module, abi) in MODULES {
        antiphon_wasi::link_functions!(linker, module, abi, Caller<'_, Data>, with, poll);
        link_random_get(linker, module, abi)?;
    }
    Ok(())
}

/// Redefines the one function of WASI that can take long, with a check of the deadline from time to
/// time.
fn link_random_get(linker: &mut Linker<Data>, module: &str, abi: Abi) -> Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap(
        module,
        "random_get",
        move |mut caller: Caller<'_, Data>, buffer: i32, length: i32| -> Result<i32> {
            let (mut guest, ticks) = guest(&mut caller, abi)?;
            Ok(guest.random_get(buffer, length, |conversation| check(conversation, ticks))?)
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Redefines the one function of WASI that waits, for guests that may suspend.
#[cfg(feature = "async")]
pub(super) fn link_suspending(linker: &mut Linker<Data>) -> Result<()> {
    for (module, abi) in MODULES {
        linker.func_wrap_async(
            module,
            "poll_oneoff",
            move |mut caller: Caller<'_, Data>,
                  (subscriptions, events, count, written): (i32, i32, i32, i32)| {
                antiphon::provider::boxed(|| async move {
                    let (mut guest, _) = guest(&mut caller, abi)?;
                    match guest.run(|call| call.begin_poll_oneoff(subscriptions, events, count, written))? {
                        antiphon_wasi::Poll::Done(errno) => Ok::<i32, wasmtime::Error>(errno),
                        antiphon_wasi::Poll::Wait(wait) => Ok(guest.wait(wait).await?),
                    }
                })
            },
        )?;
    }
    Ok(())
}

/// Waits on this thread.
fn poll(caller: &mut Caller<'_, Data>, abi: Abi, wait: Wait) -> Result<i32> {
    with(caller, abi, |guest| guest.wait_blocking(wait))
}

/// Runs a function of WASI for the calling guest.
fn with<R>(
    caller: &mut Caller<'_, Data>,
    abi: Abi,
    run: impl FnOnce(&mut Guest<'_>) -> Result<R, Error>,
) -> Result<R> {
    Ok(run(&mut guest(caller, abi)?.0)?)
}

/// Returns the calling guest and the ticks that it has left, after a check of the time: some
/// functions take long enough for that.
#[inline]
fn guest<'a>(caller: &'a mut Caller<'_, Data>, abi: Abi) -> Result<(Guest<'a>, Option<&'a Ticks>), Error> {
    let (memory, data) = split(caller);
    data.check()?;
    let Data { wasi, conversation, ticks, .. } = data;
    let Some(session) = wasi else { unreachable!("a store whose linker has WASI has its session") };
    Ok((Guest { session, conversation, memory, abi }, ticks.as_ref()))
}
