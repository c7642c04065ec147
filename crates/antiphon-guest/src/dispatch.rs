//! From a request to the handler of its operation.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;

use crate::answer::{Answered, IntoResponse};
use crate::errors::CallResult;
use crate::state::{FALLBACK, REGISTRY, REST, TABLE};
use crate::table::Table;

/// Installs a table of operations in the place of the one before. What was registered stays.
///
/// For guests with a `wapc_init` of their own: [`operations!`](crate::operations) calls it otherwise. With the feature `std`
/// it also installs the panic hook that tells the host of a panic.
pub fn install(table: &'static Table) {
    TABLE.with(|installed| installed.set(*table));
    crate::panic::install_hook();
}

/// Registers a handler under a name, in the place of the one of the same name, if there is one.
///
/// Operations of a [`Table`] of the same name come first.
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

/// Registers the handler of all operations that have none, in the place of the one before. It is told the operation's name.
pub fn register_fallback(handler: fn(&str, &[u8]) -> CallResult) {
    FALLBACK.with(|fallback| fallback.set(Some(handler)));
    REST.with(|rest| rest.set(serve_registered));
}

/// Has a request served by the operation of the table's index, if it is there. Whether it was answered.
#[inline(always)]
pub(crate) fn serve_at_once(key: u64, name: &[u8], payload: &[u8]) -> Option<bool> {
    let run = TABLE.with(|table| table.get().find_at_once(key, name))?;
    Some(run(payload).is_well())
}

/// Has it served by the first that there is of: the table, the registry, the fallback. Whether it was answered.
pub(crate) fn serve(name: &[u8], payload: &[u8]) -> bool {
    match TABLE.with(|table| table.get().find(name)) {
        Some(run) => run(payload).is_well(),
        None => REST.with(core::cell::Cell::get)(name, payload).is_well(),
    }
}

/// Serves what the table does not have, once something is registered.
fn serve_registered(name: &[u8], payload: &[u8]) -> Answered {
    let registered = REGISTRY.with(|registry| {
        let handlers = registry.take();
        let found = handlers.binary_search_by(|(known, _)| known.as_bytes().cmp(name)).ok();
        let handler = found.and_then(|found| handlers.get(found)).map(|(_, handler)| *handler);
        // Back before the handler runs: it may register others.
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

/// Refuses an operation in the words of `wapc-guest`.
pub(crate) fn refuse_unknown(name: &[u8], _payload: &[u8]) -> Answered {
    const WORDS: &[u8] = b"No handler registered for function ";
    // In one allocation, and without the code of vectors that grow: it would be most of a small guest.
    let mut text = vec![0; WORDS.len().saturating_add(name.len())];
    for (to, from) in text.iter_mut().zip(WORDS.iter().chain(name)) {
        *to = *from;
    }
    Answered::failure_of(&text)
}
