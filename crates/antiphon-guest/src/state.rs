//! The state that an instance keeps between calls.

use core::cell::Cell;

use alloc::string::String;
use alloc::vec::Vec;

use crate::answer::Answered;
use crate::dispatch::refuse_unknown;
use crate::errors::CallResult;
use crate::imports::{Area, kept};
use crate::table::Table;

/// A handler that was registered at run time.
pub(crate) type Registered = fn(&[u8]) -> CallResult;
/// Serves a request, given its operation's name and its payload.
pub(crate) type Rest = fn(&[u8], &[u8]) -> Answered;
/// The handler for operations without one; it receives their names.
pub(crate) type Fallback = fn(&str, &[u8]) -> CallResult;

kept! {
    /// The memory that requests are read into.
    pub(crate) static AREA: Area = Area::new();
    /// The operations of `operations!`.
    pub(crate) static TABLE: Cell<Table> = Cell::new(Table::EMPTY);
    /// Serves operations that are not in the table. Registering a function replaces it, so that a
    /// guest that registers nothing does not contain the registry's code.
    pub(crate) static REST: Cell<Rest> = Cell::new(refuse_unknown);
    /// The handlers of `register_function`, sorted by name; empty while one of its users holds
    /// them.
    pub(crate) static REGISTRY: Cell<Vec<(String, Registered)>> = Cell::new(Vec::new());
    /// The handler for operations that are neither in the table nor in the registry.
    pub(crate) static FALLBACK: Cell<Option<Fallback>> = Cell::new(None);
}
