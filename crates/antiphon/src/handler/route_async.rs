//! Routes whose handlers wait.

use bytes::Bytes;

use super::route::{Route, Said, over, refused, settle};
use super::{Handler, HostCall, HostCallError, HostHandler, HostHandlerAsync, HostRouter};
use crate::BoxFuture;
use crate::call::{block_on, until};

impl Route {
    /// Sets a handler that answers what the route matches and allows, and that may wait. On a
    /// synchronous host the guest's thread parks while the handler waits, at most until the
    /// deadline.
    pub fn handler_async(mut self, handler: impl HostHandlerAsync + 'static) -> Self {
        self.handler = Handler::of_async(handler);
        self
    }

    pub(super) fn can_suspend(&self) -> bool {
        self.handler.can_suspend()
    }

    /// Answers or refuses a host call; a handler that waits does not block the thread.
    pub(super) fn answer_later<'f>(&'f self, call: HostCall<'f>) -> BoxFuture<'f, Said> {
        let Handler::Async(handler) = &self.handler else {
            return Box::pin(async move { self.answer(call) });
        };
        if let Err(refusal) = self.check(&call) {
            return Box::pin(std::future::ready(Err(refusal)));
        }
        if self.budget.is_unlimited() {
            return handler.handle(call);
        }
        Box::pin(async move {
            let turn = self.budget.admit(self.id, &call).map_err(|spent| over(&call, spent))?;
            let terms = turn.terms(&call);
            let said = until(&terms, handler.handle(call.within(&terms))).await;
            settle(&call, said.unwrap_or_else(|_| Err(late(&call))), |answer| {
                turn.settle(call.ledger(), answer)
            })
        })
    }

    pub(super) fn park(&self, handler: &dyn HostHandlerAsync, call: HostCall<'_>) -> Said {
        block_on(until(call.terms(), handler.handle(call))).unwrap_or_else(|_| Err(late(&call)))
    }
}

/// Written out, so that the futures of handlers are not boxed a second time.
impl HostHandlerAsync for HostRouter {
    fn handle<'h, 'c, 'f>(&'h self, call: HostCall<'c>) -> BoxFuture<'f, Result<Bytes, HostCallError>>
    where
        'h: 'f,
        'c: 'f,
        Self: 'f,
    {
        match self.find(&call) {
            Ok(route) => route.answer_later(call),
            Err(refusal) => Box::pin(std::future::ready(Err(refusal))),
        }
    }

    fn at_once(&self) -> Option<&dyn HostHandler> {
        let waits = self.table.iter().any(Route::can_suspend);
        (!waits).then_some(self)
    }
}

/// Returns the error of a host call whose time ran out. If it was the guest call's own time, no
/// guest reads this. If it was the route's, the guest is told of the spent budget instead.
#[cold]
fn late(call: &HostCall<'_>) -> HostCallError {
    refused(call, "its time is over")
}
