//! waPC's imports, each a line over the conversation.

use antiphon::errors::Error;
use antiphon::{Conversation, wapc_functions as wapc};
use wasmi::{Caller, Linker};

use crate::data::{Data, Left, split};
use crate::fuel;

type Guest<'a> = Caller<'a, Data>;
type Result<T, E = wasmi::Error> = std::result::Result<T, E>;

/// Defines every import of waPC, and AssemblyScript's `abort` and `trace`.
pub(crate) fn link(linker: &mut Linker<Data>) -> Result<()> {
    antiphon::link_imports!(linker, Guest<'_>, with);
    linker.func_wrap(
        wapc::HOST_NAMESPACE,
        wapc::HOST_CALL,
        |mut guest: Guest<'_>, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32| {
            let args = [a, b, c, d, e, f, g, h];
            if guest.data().suspends && guest.data().conversation.can_suspend() {
                return Err(guest.data_mut().leave(Left::HostCall(args)));
            }
            with(guest, |_| 1, |memory, conversation| conversation.host_call(memory, args))
        },
    )?;
    Ok(())
}

/// Runs an import over the guest's memory, after a check of the time whatever the import copies: a
/// slice of fuel has room for a thousand imports that copy megabytes.
#[inline(always)]
fn with<R>(
    mut guest: Guest<'_>,
    _copies: impl FnOnce(&Conversation) -> i32,
    run: impl FnOnce(&mut [u8], &mut Conversation) -> Result<R, Error>,
) -> Result<R> {
    fuel::look_in_import(&mut guest)?;
    let (memory, data) = split(&mut guest);
    run(memory, &mut data.conversation).map_err(|error| data.fail(error))
}
