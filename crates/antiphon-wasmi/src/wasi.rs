//! The WASI world as imports of a guest.

use antiphon::errors::Error;
use antiphon::wapc_functions::{ABORT_NAMESPACE, SEED_FN};
use antiphon::{Conversation, ModuleInfo};
use antiphon_wasi::host::{self, Guest};
use antiphon_wasi::{Abi, MODULES, Wait};
use wasmi::{Caller, Linker};

use crate::data::{Data, Left, split};
use crate::fuel::look_in_import;

type Result<T, E = wasmi::Error> = std::result::Result<T, E>;

/// Defines WASI's functions under the module names that the guest imports from, and `env.seed`.
pub(crate) fn link(linker: &mut Linker<Data>, info: &ModuleInfo) -> Result<()> {
    for (module, abi) in MODULES.into_iter().filter(|(module, _)| info.imports_from(&[module])) {
        antiphon_wasi::link_functions!(linker, module, abi, Caller<'_, Data>, with, poll);
        // Redefined with checks of the time, because a whole memory of random bytes takes long.
        linker.allow_shadowing(true).func_wrap(
            module,
            "random_get",
            move |mut caller: Caller<'_, Data>, buffer: i32, length: i32| {
                with(&mut caller, abi, |guest| guest.random_get(buffer, length, Conversation::check))
            },
        )?;
        linker.allow_shadowing(false);
    }
    if host::imports_seed(info) {
        linker.func_wrap(ABORT_NAMESPACE, SEED_FN, |mut caller: Caller<'_, Data>| {
            with(&mut caller, Abi::Preview1, |guest| guest.seed())
        })?;
    }
    Ok(())
}

/// Waits on this thread, or suspends the guest if that is possible.
fn poll(caller: &mut Caller<'_, Data>, abi: Abi, wait: Wait) -> Result<i32> {
    if caller.data().suspends {
        return Err(caller.data_mut().leave(Left::Poll(abi, wait)));
    }
    with(caller, abi, |guest| guest.wait_blocking(wait))
}

/// Runs a function for the calling guest, after a check of the time, because some functions take
/// long.
fn with<R>(
    caller: &mut Caller<'_, Data>,
    abi: Abi,
    run: impl FnOnce(&mut Guest<'_>) -> Result<R, Error>,
) -> Result<R> {
    look_in_import(caller)?;
    let (memory, data) = split(caller);
    run(&mut guest(data, memory, abi)).map_err(|error| data.fail(error))
}

pub(crate) fn guest<'a>(data: &'a mut Data, memory: &'a mut [u8], abi: Abi) -> Guest<'a> {
    let Data { wasi, conversation, .. } = data;
    let Some(session) = wasi else { unreachable!("a store whose linker has WASI has its session") };
    Guest { session, conversation, memory, abi }
}
