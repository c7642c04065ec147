//! waPC's imports, each a line over the conversation.

use antiphon::errors::Error;
use antiphon::{Conversation, wapc_functions as wapc};
use wasmi::{Caller, Linker};

use crate::data::{Data, Left, split};
use crate::fuel;

type Guest<'a> = Caller<'a, Data>;
type Result<T, E = wasmi::Error> = std::result::Result<T, E>;

/// Defines every import of waPC, and AssemblyScript's abort.
pub(crate) fn link(linker: &mut Linker<Data>) -> Result<()> {
    macro_rules! define {
        (
            over memory { $($module:ident $name:ident ($($arg:ident),*) copies $copies:expr, does $run:expr;)* }
            asking { $($ask_module:ident $ask_name:ident () is $ask:ident;)* }
        ) => {
            $(linker.func_wrap(wapc::$module, wapc::$name, |mut guest: Guest<'_>, $($arg: i32),*| {
                with(&mut guest, $run)
            })?;)*
            $(linker.func_wrap(wapc::$ask_module, wapc::$ask_name, |guest: Guest<'_>| {
                guest.data().conversation.$ask()
            })?;)*
        };
    }
    antiphon::for_each_import!(define);
    linker.func_wrap(
        wapc::HOST_NAMESPACE,
        wapc::HOST_CALL,
        |mut guest: Guest<'_>, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32| {
            let args = [a, b, c, d, e, f, g, h];
            if guest.data().suspends && guest.data().conversation.can_suspend() {
                return Err(guest.data_mut().leave(Left::HostCall(args)));
            }
            with(&mut guest, |memory, conversation| conversation.host_call(memory, args))
        },
    )?;
    Ok(())
}

/// Runs an import over the guest's memory, with a look at the time: some copy megabytes, and a slice of fuel has room
/// for a thousand of them.
#[inline(always)]
fn with<R>(
    guest: &mut Guest<'_>,
    run: impl FnOnce(&mut [u8], &mut Conversation) -> Result<R, Error>,
) -> Result<R> {
    fuel::look_in_import(guest)?;
    let (memory, data) = split(guest);
    run(memory, &mut data.conversation).map_err(|error| data.fail(error))
}
