//! waPC's imports. Each calls a method of the conversation, which is in the store.

use antiphon::wapc_functions as wapc;
use antiphon::{Conversation, HOST_NAMESPACE, Limits};
use wasmi::{Caller, Error, Extern, Linker, StoreLimits, StoreLimitsBuilder};

use crate::trap::raise;

/// The data of a store.
pub(crate) struct Data {
    /// The running conversation; between calls, a spare one.
    pub(crate) conversation: Box<Conversation>,
    /// Limits of memory and tables.
    pub(crate) limits: StoreLimits,
}

impl Data {
    pub(crate) fn new(conversation: Box<Conversation>, limits: &Limits) -> Self {
        let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        let limits = StoreLimitsBuilder::new()
            .memory_size(size(limits.memory_or_default()))
            .table_elements(size(limits.table_elements_or_default()))
            .tables(10)
            .build();
        Self { conversation, limits }
    }
}

/// The guest, as an import sees it.
pub(crate) type Guest<'a> = Caller<'a, Data>;

/// Returns the guest's memory and the conversation, both at once.
pub(crate) fn enter<'a>(guest: &'a mut Guest<'_>) -> Result<(&'a mut [u8], &'a mut Conversation), Error> {
    // Checked here too, because an import may copy megabytes, and a guest can make many such calls
    // without a loop.
    guest.data().conversation.check().map_err(raise)?;
    Ok(match guest.get_export(wapc::MEMORY) {
        Some(Extern::Memory(memory)) => {
            let (memory, data) = memory.data_and_store_mut(guest);
            (memory, &mut data.conversation)
        }
        _ => (&mut [], &mut guest.data_mut().conversation),
    })
}

/// Defines every import except `__host_call`, which may have to wait.
pub(crate) fn link(linker: &mut Linker<Data>) -> Result<(), Error> {
    linker
        .func_wrap(HOST_NAMESPACE, wapc::GUEST_REQUEST_FN, |mut guest: Guest<'_>, op: i32, msg: i32| {
            let (memory, conversation) = enter(&mut guest)?;
            conversation.guest_request(memory, op, msg).map_err(raise)
        })?
        .func_wrap(HOST_NAMESPACE, wapc::GUEST_RESPONSE_FN, |mut guest: Guest<'_>, ptr: i32, len: i32| {
            let (memory, conversation) = enter(&mut guest)?;
            conversation.guest_response(memory, ptr, len).map_err(raise)
        })?
        .func_wrap(HOST_NAMESPACE, wapc::GUEST_ERROR_FN, |mut guest: Guest<'_>, ptr: i32, len: i32| {
            let (memory, conversation) = enter(&mut guest)?;
            conversation.guest_error(memory, ptr, len).map_err(raise)
        })?
        .func_wrap(HOST_NAMESPACE, wapc::HOST_CONSOLE_LOG, |mut guest: Guest<'_>, ptr: i32, len: i32| {
            let (memory, conversation) = enter(&mut guest)?;
            conversation.console_log(memory, ptr, len).map_err(raise)
        })?
        .func_wrap(HOST_NAMESPACE, wapc::HOST_RESPONSE_LEN_FN, |guest: Guest<'_>| {
            guest.data().conversation.host_response_len()
        })?
        .func_wrap(HOST_NAMESPACE, wapc::HOST_RESPONSE_FN, |mut guest: Guest<'_>, ptr: i32| {
            let (memory, conversation) = enter(&mut guest)?;
            conversation.host_response(memory, ptr).map_err(raise)
        })?
        .func_wrap(HOST_NAMESPACE, wapc::HOST_ERROR_LEN_FN, |guest: Guest<'_>| {
            guest.data().conversation.host_error_len()
        })?
        .func_wrap(HOST_NAMESPACE, wapc::HOST_ERROR_FN, |mut guest: Guest<'_>, ptr: i32| {
            let (memory, conversation) = enter(&mut guest)?;
            conversation.host_error(memory, ptr).map_err(raise)
        })?
        .func_wrap(
            wapc::ABORT_NAMESPACE,
            wapc::ABORT_FN,
            |mut guest: Guest<'_>, message: i32, file: i32, line: i32, column: i32| {
                let (memory, conversation) = enter(&mut guest)?;
                Err::<(), Error>(raise(conversation.abort(memory, [message, file, line, column])))
            },
        )?
        .func_wrap(
            wapc::ABORT_NAMESPACE,
            wapc::TRACE_FN,
            |mut guest: Guest<'_>, message: i32, count: i32, a: f64, b: f64, c: f64, d: f64, e: f64| {
                let (memory, conversation) = enter(&mut guest)?;
                conversation.trace(memory, message, (count, [a, b, c, d, e])).map_err(raise)
            },
        )?;
    Ok(())
}
