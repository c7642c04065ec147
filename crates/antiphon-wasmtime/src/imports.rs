//! waPC's imports, each a line or two over the conversation.

use antiphon::HOST_NAMESPACE;
use antiphon::wapc_functions as wapc;
use wasmtime::{Caller, Linker, Result};

use crate::data::{Data, split};

/// Defines every import of waPC, and AssemblyScript's abort, as plain synchronous functions.
pub(crate) fn link(linker: &mut Linker<Data>) -> Result<()> {
    type Guest<'a> = Caller<'a, Data>;

    linker.func_wrap(
        HOST_NAMESPACE,
        wapc::GUEST_REQUEST_FN,
        |mut guest: Guest<'_>, op: i32, msg: i32| -> Result<()> {
            let (memory, data) = split(&mut guest);
            on_time(data, data.conversation.lengths().1)?;
            Ok(data.conversation.guest_request(memory, op, msg)?)
        },
    )?;
    linker.func_wrap(
        HOST_NAMESPACE,
        wapc::GUEST_RESPONSE_FN,
        |mut guest: Guest<'_>, ptr: i32, len: i32| -> Result<()> {
            let (memory, data) = split(&mut guest);
            on_time(data, len)?;
            Ok(data.conversation.guest_response(memory, ptr, len)?)
        },
    )?;
    linker.func_wrap(
        HOST_NAMESPACE,
        wapc::GUEST_ERROR_FN,
        |mut guest: Guest<'_>, ptr: i32, len: i32| -> Result<()> {
            let (memory, data) = split(&mut guest);
            on_time(data, len)?;
            Ok(data.conversation.guest_error(memory, ptr, len)?)
        },
    )?;
    linker.func_wrap(
        HOST_NAMESPACE,
        wapc::HOST_CONSOLE_LOG,
        |mut guest: Guest<'_>, ptr: i32, len: i32| -> Result<()> {
            let (memory, data) = split(&mut guest);
            Ok(data.conversation.console_log(memory, ptr, len)?)
        },
    )?;
    linker.func_wrap(
        HOST_NAMESPACE,
        wapc::HOST_CALL,
        |mut guest: Guest<'_>,
         a: i32,
         b: i32,
         c: i32,
         d: i32,
         e: i32,
         f: i32,
         g: i32,
         h: i32|
         -> Result<i32> {
            let (memory, data) = split(&mut guest);
            Ok(data.conversation.host_call(memory, [a, b, c, d, e, f, g, h])?)
        },
    )?;
    linker.func_wrap(HOST_NAMESPACE, wapc::HOST_RESPONSE_LEN_FN, |guest: Guest<'_>| -> i32 {
        guest.data().conversation.host_response_len()
    })?;
    linker.func_wrap(
        HOST_NAMESPACE,
        wapc::HOST_RESPONSE_FN,
        |mut guest: Guest<'_>, ptr: i32| -> Result<()> {
            let (memory, data) = split(&mut guest);
            on_time(data, data.conversation.host_response_len())?;
            Ok(data.conversation.host_response(memory, ptr)?)
        },
    )?;
    linker.func_wrap(HOST_NAMESPACE, wapc::HOST_ERROR_LEN_FN, |guest: Guest<'_>| -> i32 {
        guest.data().conversation.host_error_len()
    })?;
    linker.func_wrap(
        HOST_NAMESPACE,
        wapc::HOST_ERROR_FN,
        |mut guest: Guest<'_>, ptr: i32| -> Result<()> {
            let (memory, data) = split(&mut guest);
            on_time(data, data.conversation.host_error_len())?;
            Ok(data.conversation.host_error(memory, ptr)?)
        },
    )?;
    linker.func_wrap(
        wapc::ABORT_NAMESPACE,
        wapc::ABORT_FN,
        |mut guest: Guest<'_>, message: i32, file: i32, line: i32, column: i32| -> Result<()> {
            let (memory, data) = split(&mut guest);
            Err(data.conversation.abort(memory, [message, file, line, column]).into())
        },
    )?;
    Ok(())
}

/// Looks at the time before an import that has much to copy. The engine looks only in loops, at the beginning of functions
/// and before bulk operations: thousands of imports in a straight line would pass it by, 4 MiB each.
#[inline(always)]
fn on_time(data: &Data, bytes: i32) -> Result<()> {
    /// What is copied in less time than the call of the import takes.
    const BRIEF: u32 = 1024;

    if bytes.cast_unsigned() > BRIEF { Ok(data.conversation.check()?) } else { Ok(()) }
}

/// Redefines the one import that can wait, for guests that may suspend.
#[cfg(feature = "async")]
pub(crate) fn link_suspending(linker: &mut Linker<Data>) -> Result<()> {
    linker.func_wrap_async(
        HOST_NAMESPACE,
        wapc::HOST_CALL,
        |mut guest: Caller<'_, Data>, (a, b, c, d, e, f, g, h): (i32, i32, i32, i32, i32, i32, i32, i32)| {
            Box::new(async move {
                let (memory, data) = split(&mut guest);
                Ok::<i32, wasmtime::Error>(
                    data.conversation.host_call_async(memory, [a, b, c, d, e, f, g, h]).await?,
                )
            })
        },
    )?;
    Ok(())
}
