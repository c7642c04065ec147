//! What an instance keeps from call to call.

use core::cell::Cell;

use alloc::string::String;
use alloc::vec::Vec;

use crate::answer::Answered;
use crate::dispatch::refuse_unknown;
use crate::errors::CallResult;
use crate::imports::{Area, kept};
use crate::table::Table;

/// A handler that was registered while the guest runs.
pub(crate) type Registered = fn(&[u8]) -> CallResult;
/// Serves a request by its operation's name and its payload.
pub(crate) type Rest = fn(&[u8], &[u8]) -> Answered;
/// The handler of operations that nobody has registered, which is told their names.
pub(crate) type Fallback = fn(&str, &[u8]) -> CallResult;

kept! {
    /// Where requests are read into.
    pub(crate) static AREA: Area = Area::new();
    /// The operations of `operations!`.
    pub(crate) static TABLE: Cell<Table> = Cell::new(Table::EMPTY);
    /// What serves the operations that are not in the table. Nothing of a registry is in a guest that registers nothing.
    pub(crate) static REST: Cell<Rest> = Cell::new(refuse_unknown);
    /// The handlers of `register_function`, sorted by name. Taken out to be used.
    pub(crate) static REGISTRY: Cell<Vec<(String, Registered)>> = Cell::new(Vec::new());
    /// The handler of all else.
    pub(crate) static FALLBACK: Cell<Option<Fallback>> = Cell::new(None);
}
