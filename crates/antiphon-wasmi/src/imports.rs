//! waPC's imports, each a line over the conversation.

use antiphon::errors::Error;
use antiphon::wapc_functions as wapc;
use antiphon::{Conversation, HOST_NAMESPACE};
use wasmi::{Caller, Linker};

use crate::data::{Data, split};
use crate::fuel;

type Guest<'a> = Caller<'a, Data>;
type Result<T, E = wasmi::Error> = std::result::Result<T, E>;

/// Defines every import of waPC, and AssemblyScript's abort.
pub(crate) fn link(linker: &mut Linker<Data>) -> Result<()> {
    macro_rules! define {
        ($($import:ident => $method:ident($($arg:ident),*);)*) => {
            $(linker.func_wrap(HOST_NAMESPACE, wapc::$import, |mut guest: Guest<'_>, $($arg: i32),*| {
                with(&mut guest, |memory, conversation| conversation.$method(memory, $($arg),*))
            })?;)*
        };
    }
    define! {
        GUEST_REQUEST_FN => guest_request(op, msg);
        GUEST_RESPONSE_FN => guest_response(ptr, len);
        GUEST_ERROR_FN => guest_error(ptr, len);
        HOST_CONSOLE_LOG => console_log(ptr, len);
        HOST_RESPONSE_FN => host_response(ptr);
        HOST_ERROR_FN => host_error(ptr);
    }
    linker.func_wrap(HOST_NAMESPACE, wapc::HOST_RESPONSE_LEN_FN, |guest: Guest<'_>| {
        guest.data().conversation.host_response_len()
    })?;
    linker.func_wrap(HOST_NAMESPACE, wapc::HOST_ERROR_LEN_FN, |guest: Guest<'_>| {
        guest.data().conversation.host_error_len()
    })?;
    linker.func_wrap(
        HOST_NAMESPACE,
        wapc::HOST_CALL,
        |mut guest: Guest<'_>, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32| {
            let args = [a, b, c, d, e, f, g, h];
            #[cfg(feature = "async")]
            if guest.data().suspends && guest.data().conversation.can_suspend() {
                return Err(guest.data_mut().leave(crate::data::Left::HostCall(args)));
            }
            with(&mut guest, |memory, conversation| conversation.host_call(memory, args))
        },
    )?;
    linker.func_wrap(
        wapc::ABORT_NAMESPACE,
        wapc::ABORT_FN,
        |mut guest: Guest<'_>, message: i32, file: i32, line: i32, column: i32| -> Result<()> {
            let args = [message, file, line, column];
            with(&mut guest, |memory, conversation| Err(conversation.abort(memory, args)))
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
