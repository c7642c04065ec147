//! The sealed WASI world as imports of a guest.

use antiphon::errors::Error;
use antiphon::{Conversation, ModuleInfo};
use antiphon_wasi::host::Guest;
use antiphon_wasi::{Abi, MODULES, Poll};
use wasmi::{Caller, Linker};

use crate::data::{Data, Left, split};
use crate::fuel::look_in_import;

type Result<T, E = wasmi::Error> = std::result::Result<T, E>;

/// Defines WASI's functions under the names of the modules from which there are imports.
pub(crate) fn link(linker: &mut Linker<Data>, info: &ModuleInfo) -> Result<()> {
    for (module, abi) in MODULES.into_iter().filter(|(module, _)| info.imports_from(&[module])) {
        macro_rules! define {
            (
                plain { $(fn $name:ident($($arg:ident: $type:ty),*) -> i32;)* }
                suspending { fn $poll:ident($($poll_arg:ident: $poll_type:ty),*) -> i32; }
                ending { fn $exit:ident($($exit_arg:ident: $exit_type:ty),*); }
            ) => {
                $(linker.func_wrap(module, stringify!($name), move |mut caller: Caller<'_, Data>, $($arg: $type),*| {
                    with(&mut caller, abi, |guest| guest.run(|call| call.$name($($arg),*)))
                })?;)*
                linker.func_wrap(module, stringify!($exit), move |mut caller: Caller<'_, Data>, $($exit_arg: $exit_type),*| {
                    with(&mut caller, abi, |guest| guest.run(|call| call.$exit($($exit_arg),*)))
                })?;
                linker.func_wrap(module, stringify!($poll), move |mut caller: Caller<'_, Data>, $($poll_arg: $poll_type),*| {
                    match with(&mut caller, abi, |guest| guest.run(|call| call.begin_poll_oneoff($($poll_arg),*)))? {
                        Poll::Done(errno) => Ok(errno),
                        Poll::Wait(wait) if caller.data().suspends => Err(caller.data_mut().leave(Left::Poll(abi, wait))),
                        Poll::Wait(wait) => with(&mut caller, abi, |guest| guest.wait_blocking(wait)),
                    }
                })?;
            };
        }
        antiphon_wasi::for_each_function!(define);
        // Once more: a whole memory of random bytes takes long.
        linker.allow_shadowing(true).func_wrap(
            module,
            "random_get",
            move |mut caller: Caller<'_, Data>, buffer: i32, length: i32| {
                with(&mut caller, abi, |guest| guest.random_get(buffer, length, Conversation::check))
            },
        )?;
        linker.allow_shadowing(false);
    }
    Ok(())
}

/// Runs something for the calling guest. Some functions take long enough to look at the time first.
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
