//! A router: sends host calls to handlers by their names.

use std::collections::hash_map::RandomState;
use std::fmt;

use bytes::Bytes;

use super::id_map::ByNumber;
use super::route::{Route, refused};
use super::route_table::RouteTable;
use super::{HostCall, HostCallError, HostHandler};

/// Sends each host call to the handler of the most specific [`Route`] that matches it, and refuses
/// a call that no route matches.
///
/// The most specific route is the one with the most exact names. Between routes with equally many,
/// an exact binding comes before an exact namespace, and an exact namespace before an exact
/// operation. That route decides: what it refuses goes to no other route. A route replaces an
/// earlier one with exactly the same pattern.
///
/// A host call takes as long with a thousand routes as with ten. If no handler of a router ever
/// waits, the host runs its guest as it does with a single such handler. An [`Arc`](std::sync::Arc)
/// of a router serves many hosts.
///
/// A router with routes that wait belongs into the `handler` of an asynchronous host, or, within
/// another router, into [`Route::handler_async`](Route::handler_async): both ask the router whether
/// it waits. `handler_sync` and [`Route::handler`] do not ask, and their thread parks while it
/// waits.
///
/// ```
/// use antiphon::{Bytes, HostRouter, Route, WapcHost, handler_fn, testing::TestEngine};
///
/// let router = HostRouter::new()
///     .route(Route::any().binding("clock").operation("year").handler(handler_fn(|_| Ok("2026".into()))))
///     .route(Route::any().binding("kv").operations(["get"]).max_calls(2).handler(handler_fn(|call| {
///         Ok(Bytes::copy_from_slice(call.payload))
///     })));
///
/// let engine = TestEngine::new()
///     .operation_with_host("when", |guest| async move { guest.host_call("clock", "time", "year", b"").await })
///     .operation_with_host("wipe", |guest| async move { guest.host_call("kv", "users", "drop", b"").await });
/// let host = WapcHost::builder(Box::new(engine)).handler(router).build()?;
/// assert_eq!(host.call("when", b"")?, b"2026");
/// assert_eq!(
///     host.call("wipe", b"").unwrap_err().guest_error(),
///     Some(r#"host call "kv"/"users"/"drop" refused: its route does not allow this operation"#),
/// );
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
#[must_use = "a router does nothing until it is the handler of a host"]
pub struct HostRouter {
    pub(super) table: RouteTable<Route>,
}

impl HostRouter {
    /// Creates a router that refuses everything.
    pub fn new() -> Self {
        Self { table: RouteTable::with_hashers(RandomState::new(), ByNumber::default()) }
    }

    /// Adds a route.
    pub fn route(mut self, route: Route) -> Self {
        let pattern = route.pattern().map(|part| part.map(str::to_owned));
        self.table.insert(pattern.each_ref().map(|part| part.as_deref()), route);
        self
    }

    pub(super) fn find(&self, call: &HostCall<'_>) -> Result<&Route, HostCallError> {
        self.table
            .find([call.binding, call.namespace, call.operation])
            .ok_or_else(|| refused(call, "no route serves it"))
    }
}

impl Default for HostRouter {
    fn default() -> Self {
        Self::new()
    }
}

/// Parks the thread while a route's handler waits.
impl HostHandler for HostRouter {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        self.find(&call)?.answer(call)
    }
}

impl fmt::Debug for HostRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.table.iter()).finish()
    }
}
