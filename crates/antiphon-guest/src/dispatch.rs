//! Finds the handler of a request's operation.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;

use crate::answer::{Answered, IntoResponse};
use crate::errors::CallResult;
use crate::state::{FALLBACK, REGISTRY, REST, TABLE};
use crate::table::Table;

/// Installs a table of operations and replaces the previous one. Registered functions stay.
///
/// Only a guest with its own `wapc_init` has to call it; otherwise
/// [`operations!`](crate::operations) does. With the feature `std` it also installs the panic hook
/// that reports panics to the host.
pub fn install(table: &'static Table) {
    TABLE.with(|installed| installed.set(*table));
    crate::panic::install_hook();
}

/// Registers a handler under a name, and replaces an earlier one with that name.
///
/// An operation of a [`Table`] with that name takes precedence. A guest without registrations does
/// not contain the registry's code: only this function makes the guest look into it.
pub fn register_function(name: &str, handler: fn(&[u8]) -> CallResult) {
    REGISTRY.with(|registry| {
        let mut handlers = registry.take();
        match handlers.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
            Ok(found) => {
                if let Some((_, registered)) = handlers.get_mut(found) {
                    *registered = handler;
                }
            }
            Err(place) => handlers.insert(place, (name.to_owned(), handler)),
        }
        registry.set(handlers);
    });
    REST.with(|rest| rest.set(serve_registered));
    crate::panic::install_hook();
}

/// Registers a handler for all operations without one, and replaces an earlier such handler. It
/// receives the operation's name.
pub fn register_fallback(handler: fn(&str, &[u8]) -> CallResult) {
    FALLBACK.with(|fallback| fallback.set(Some(handler)));
    REST.with(|rest| rest.set(serve_registered));
}

/// Serves a request by the table's index if it has the operation. Returns whether the guest
/// answered, and did not fail.
#[inline(always)]
pub(crate) fn serve_at_once(key: u64, name: &[u8], payload: &[u8]) -> Option<bool> {
    let run = TABLE.with(|table| table.get().find_at_once(key, name))?;
    Some(run(payload).is_well())
}

/// Serves a request by the first match of table, registry and fallback. Returns whether the guest
/// answered, and did not fail.
pub(crate) fn serve(name: &[u8], payload: &[u8]) -> bool {
    match TABLE.with(|table| table.get().find(name)) {
        Some(run) => run(payload).is_well(),
        None => REST.with(core::cell::Cell::get)(name, payload).is_well(),
    }
}

/// Serves operations that are not in the table, once a function is registered.
fn serve_registered(name: &[u8], payload: &[u8]) -> Answered {
    let registered = REGISTRY.with(|registry| {
        let handlers = registry.take();
        let found = handlers.binary_search_by(|(known, _)| known.as_bytes().cmp(name)).ok();
        let handler = found.and_then(|found| handlers.get(found)).map(|(_, handler)| *handler);
        // Put back before the handler runs, because the handler may register more.
        registry.set(handlers);
        handler
    });
    if let Some(handler) = registered {
        return handler(payload).respond();
    }
    match FALLBACK.with(core::cell::Cell::get) {
        Some(fallback) => fallback(&String::from_utf8_lossy(name), payload).respond(),
        None => refuse_unknown(name, payload),
    }
}

/// Refuses an operation with the text of `wapc-guest`.
pub(crate) fn refuse_unknown(name: &[u8], _payload: &[u8]) -> Answered {
    const WORDS: &[u8] = b"No handler registered for function ";
    // One allocation of the final size. The code of growing vectors would be most of a small guest.
    let mut text = vec![0; WORDS.len().saturating_add(name.len())];
    for (to, from) in text.iter_mut().zip(WORDS.iter().chain(name)) {
        *to = *from;
    }
    Answered::failure_of(&text)
}
