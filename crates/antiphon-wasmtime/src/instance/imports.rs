//! waPC's imports, each a line or two over the conversation.

use antiphon::errors::Error;
use antiphon::{Conversation, wapc_functions as wapc};
use wasmtime::{Caller, Linker, Result};

use super::data::{Data, find_memory, split_known};

type Guest<'a> = Caller<'a, Data>;

/// Defines every import of waPC, and AssemblyScript's `abort` and `trace`, as synchronous
/// functions.
pub(super) fn link(linker: &mut Linker<Data>) -> Result<()> {
    antiphon::link_imports!(linker, Guest<'_>, with);
    linker.func_wrap(
        wapc::HOST_NAMESPACE,
        wapc::HOST_CALL,
        |guest: Guest<'_>, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32| {
            let args = [a, b, c, d, e, f, g, h];
            with(guest, |_| 1, |memory, conversation| conversation.host_call(memory, args))
        },
    )?;
    Ok(())
}

/// Runs an import over the guest's memory. It first checks the time if the import has much to copy:
/// thousands of imports in a straight line, each copying 4 MiB, would pass between the engine's own
/// checks.
#[inline(always)]
fn with<R>(
    mut guest: Guest<'_>,
    copies: impl FnOnce(&Conversation) -> i32,
    run: impl FnOnce(&mut [u8], &mut Conversation) -> Result<R, Error>,
) -> Result<R> {
    /// The number of bytes that are copied in less time than the call of the import takes.
    const BRIEF: u32 = 2 << 10;

    let copies = copies(&guest.data().conversation).cast_unsigned();
    if copies > BRIEF {
        guest.data().check()?;
    }
    // Looks for the memory only if there are bytes to copy. Finding it is a chain of loads that
    // each wait for the one before: a twentieth of a null call, and as long as everything else that
    // an empty answer needs.
    let (memory, data) = match guest.data().memory {
        _ if copies == 0 => (&mut [][..], guest.data_mut()),
        Some(memory) => memory.data_and_store_mut(&mut guest),
        None => {
            guest = with_memory(guest);
            split_known(&mut guest)
        }
    };
    Ok(run(memory, &mut data.conversation)?)
}

/// Takes the caller and returns it. If this function borrowed the caller, every call would have to
/// keep it in memory.
#[cold]
fn with_memory(mut guest: Guest<'_>) -> Guest<'_> {
    find_memory(&mut guest);
    guest
}
