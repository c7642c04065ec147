//! The sealed WASI world as imports of a guest.

use antiphon::errors::Error;
use antiphon::{Conversation, ModuleInfo};
use antiphon_wasi::host::Guest;
use antiphon_wasi::{Abi, Call, MODULES, Poll, Stop, Wait, World};
use wasmi::{Caller, Linker};

use crate::compiled::Settings;
use crate::data::{Data, Left, split};
use crate::fuel::look_in_import;

type Result<T, E = wasmi::Error> = std::result::Result<T, E>;

/// Defines WASI's functions where the module imports any, and makes the world that they show.
pub(crate) fn link(
    linker: &mut Linker<Data>,
    info: &ModuleInfo,
    settings: &Settings,
) -> Result<Option<World>, Error> {
    if !info.imports_from(&MODULES.map(|(module, _)| module)) {
        return Ok(None);
    }
    for (module, abi) in MODULES {
        if info.imports_from(&[module]) {
            link_module(linker, module, abi).map_err(crate::compiled::refused)?;
        }
    }
    let world = antiphon_wasi::host::world(&settings.wasi_params)?;
    Ok(Some(match settings.deterministic {
        Some((seed, clock)) => world.deterministic(seed, clock),
        None => world,
    }))
}

fn link_module(linker: &mut Linker<Data>, module: &str, abi: Abi) -> Result<()> {
    macro_rules! define {
        (
            plain { $(fn $name:ident($($arg:ident: $type:ty),*) -> i32;)* }
            suspending { fn $poll:ident($($poll_arg:ident: $poll_type:ty),*) -> i32; }
            ending { fn $exit:ident($($exit_arg:ident: $exit_type:ty),*); }
        ) => {
            $(linker.func_wrap(module, stringify!($name), move |mut guest: Caller<'_, Data>, $($arg: $type),*| {
                with(&mut guest, abi, |call| call.$name($($arg),*))
            })?;)*
            linker.func_wrap(module, stringify!($exit), move |mut guest: Caller<'_, Data>, $($exit_arg: $exit_type),*| {
                with(&mut guest, abi, |call| call.$exit($($exit_arg),*))
            })?;
            linker.func_wrap(module, stringify!($poll), move |mut guest: Caller<'_, Data>, $($poll_arg: $poll_type),*| {
                match with(&mut guest, abi, |call| call.begin_poll_oneoff($($poll_arg),*))? {
                    Poll::Done(errno) => Ok(errno),
                    Poll::Wait(wait) => poll(&mut guest, abi, wait),
                }
            })?;
        };
    }
    antiphon_wasi::for_each_function!(define);
    // A whole memory of random bytes takes long.
    linker.allow_shadowing(true).func_wrap(
        module,
        "random_get",
        move |mut guest: Caller<'_, Data>, buffer: i32, length: i32| {
            look_in_import(&mut guest)?;
            let (memory, data) = split(&mut guest);
            self::guest(data, memory, abi)
                .random_get(buffer, length, Conversation::check)
                .map_err(|error| data.fail(error))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Waits: on this thread, or where the guest may be left, after leaving it.
fn poll(guest: &mut Caller<'_, Data>, abi: Abi, wait: Wait) -> Result<i32> {
    let data = guest.data_mut();
    if data.suspends {
        return Err(data.leave(Left::Poll(abi, wait)));
    }
    let waited = data.conversation.sleep_blocking(wait.duration());
    let (memory, data) = split(guest);
    waited.and_then(|()| finish(memory, data, abi, wait)).map_err(|error| data.fail(error))
}

/// Tells the guest what its wait came to.
pub(crate) fn finish(memory: &mut [u8], data: &mut Data, abi: Abi, wait: Wait) -> Result<i32, Error> {
    guest(data, memory, abi).run(|call| call.finish_poll_oneoff(wait))
}

/// Runs a function of the world over the guest's memory. Some take long enough to look at the time first.
fn with<R>(
    guest: &mut Caller<'_, Data>,
    abi: Abi,
    run: impl FnOnce(&mut Call<'_>) -> Result<R, Stop>,
) -> Result<R> {
    look_in_import(guest)?;
    let (memory, data) = split(guest);
    self::guest(data, memory, abi).run(run).map_err(|error| data.fail(error))
}

fn guest<'a>(data: &'a mut Data, memory: &'a mut [u8], abi: Abi) -> Guest<'a> {
    let Data { wasi, conversation, .. } = data;
    let Some(session) = wasi else { unreachable!("a store whose linker has WASI has its session") };
    Guest { session, conversation, memory, abi }
}
