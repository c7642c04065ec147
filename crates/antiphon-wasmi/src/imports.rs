//! waPC's imports, each a line or two over the conversation.

use antiphon::errors::Error;
use antiphon::wapc_functions as wapc;
use antiphon::{Conversation, HOST_NAMESPACE};
use wasmi::{Caller, Linker};

use crate::data::{Data, Left, split};
use crate::fuel;

type Guest<'a> = Caller<'a, Data>;
type Result<T, E = wasmi::Error> = std::result::Result<T, E>;

/// Defines every import of waPC, and AssemblyScript's abort.
pub(crate) fn link(linker: &mut Linker<Data>) -> Result<()> {
    linker.func_wrap(HOST_NAMESPACE, wapc::GUEST_REQUEST_FN, |mut guest: Guest<'_>, op: i32, msg: i32| {
        let bytes = guest.data().conversation.lengths().1;
        on_time(&mut guest, bytes)?;
        with(&mut guest, |memory, conversation| conversation.guest_request(memory, op, msg))
    })?;
    linker.func_wrap(
        HOST_NAMESPACE,
        wapc::GUEST_RESPONSE_FN,
        |mut guest: Guest<'_>, ptr: i32, len: i32| {
            on_time(&mut guest, len)?;
            with(&mut guest, |memory, conversation| conversation.guest_response(memory, ptr, len))
        },
    )?;
    linker.func_wrap(HOST_NAMESPACE, wapc::GUEST_ERROR_FN, |mut guest: Guest<'_>, ptr: i32, len: i32| {
        on_time(&mut guest, len)?;
        with(&mut guest, |memory, conversation| conversation.guest_error(memory, ptr, len))
    })?;
    linker.func_wrap(
        HOST_NAMESPACE,
        wapc::HOST_CONSOLE_LOG,
        |mut guest: Guest<'_>, ptr: i32, len: i32| {
            with(&mut guest, |memory, conversation| conversation.console_log(memory, ptr, len))
        },
    )?;
    linker.func_wrap(
        HOST_NAMESPACE,
        wapc::HOST_CALL,
        |mut guest: Guest<'_>, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32| {
            let args = [a, b, c, d, e, f, g, h];
            let data = guest.data_mut();
            if data.suspends && data.conversation.can_suspend() {
                return Err(data.leave(Left::HostCall(args)));
            }
            let code = with(&mut guest, |memory, conversation| conversation.host_call(memory, args))?;
            look(&mut guest)?;
            Ok(code)
        },
    )?;
    linker.func_wrap(HOST_NAMESPACE, wapc::HOST_RESPONSE_LEN_FN, |guest: Guest<'_>| {
        guest.data().conversation.host_response_len()
    })?;
    linker.func_wrap(HOST_NAMESPACE, wapc::HOST_RESPONSE_FN, |mut guest: Guest<'_>, ptr: i32| {
        let bytes = guest.data().conversation.host_response_len();
        on_time(&mut guest, bytes)?;
        with(&mut guest, |memory, conversation| conversation.host_response(memory, ptr))
    })?;
    linker.func_wrap(HOST_NAMESPACE, wapc::HOST_ERROR_LEN_FN, |guest: Guest<'_>| {
        guest.data().conversation.host_error_len()
    })?;
    linker.func_wrap(HOST_NAMESPACE, wapc::HOST_ERROR_FN, |mut guest: Guest<'_>, ptr: i32| {
        let bytes = guest.data().conversation.host_error_len();
        on_time(&mut guest, bytes)?;
        with(&mut guest, |memory, conversation| conversation.host_error(memory, ptr))
    })?;
    linker.func_wrap(
        wapc::ABORT_NAMESPACE,
        wapc::ABORT_FN,
        |mut guest: Guest<'_>, message: i32, file: i32, line: i32, column: i32| -> Result<()> {
            with(&mut guest, |memory, conversation| {
                Err(conversation.abort(memory, [message, file, line, column]))
            })
        },
    )?;
    Ok(())
}

/// Runs an import over the guest's memory.
#[inline(always)]
fn with<R>(
    guest: &mut Guest<'_>,
    run: impl FnOnce(&mut [u8], &mut Conversation) -> Result<R, Error>,
) -> Result<R> {
    let (memory, data) = split(guest);
    run(memory, &mut data.conversation).map_err(|error| data.leave(Left::Failed(error)))
}

/// Looks at the time before an import that has much to copy: a slice of fuel has room for thousands of them.
#[inline(always)]
fn on_time(guest: &mut Guest<'_>, bytes: i32) -> Result<()> {
    /// What is copied in less time than the call of the import takes.
    const BRIEF: u32 = 1024;

    if bytes.cast_unsigned() > BRIEF { look(guest) } else { Ok(()) }
}

/// Looks at the time; see [`fuel::look_in_import`].
pub(crate) fn look(guest: &mut Guest<'_>) -> Result<()> {
    fuel::look_in_import(guest).map_err(|error| guest.data_mut().leave(Left::Failed(error)))
}
