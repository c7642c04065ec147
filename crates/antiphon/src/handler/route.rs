//! A route: which host calls it matches, and what becomes of them.

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::budget::{Budget, Exhausted};
use super::route_table::PARTS;
use super::{Handler, HostCall, HostCallError, HostHandler};

/// The number of the next route. The ledger of a guest call knows routes by these numbers, in
/// whichever routers they are.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(super) type Said = Result<Bytes, HostCallError>;
type Rule = dyn Fn(&HostCall<'_>) -> bool + Send + Sync;

/// A route of a [`HostRouter`](crate::HostRouter): which host calls it matches, which of them it
/// allows and how much of them, and which handler answers.
///
/// A new route matches every host call; [`binding`](Self::binding), [`namespace`](Self::namespace)
/// and [`operation`](Self::operation) narrow it. Until it is given a handler it refuses what it
/// matches. So a route without a handler closes a part of what a wider route opens.
///
/// Its budgets are for one guest call. Each guest call begins with an unspent budget, whatever
/// other calls do at the same time; the start of a guest counts as one call. A host call over
/// budget is refused like one that is not allowed: the guest reads an error, and lives on. The
/// limits of the host, [`Limits::host_calls`](crate::Limits::host_calls) and
/// [`host_call_bytes`](crate::Limits::host_call_bytes), hold as well, and end the guest
/// call.
///
/// ```
/// use antiphon::{Bytes, Route, handler_fn};
/// use std::time::Duration;
///
/// struct Tenant(u32);
///
/// Route::any()
///     .binding("kv")
///     .namespace("store")
///     .operations(["get", "list"])
///     .allow(|call| call.context().get::<Tenant>().is_some())
///     .max_calls(100)
///     .max_bytes(1 << 20)
///     .max_time(Duration::from_millis(200))
///     .handler(handler_fn(|call| Ok(Bytes::copy_from_slice(call.payload))));
/// ```
#[must_use = "a route does nothing until a router has it"]
pub struct Route {
    pub(super) id: u64,
    pattern: [Part; PARTS],
    operations: Option<HashSet<Box<str>>>,
    rules: Vec<Box<Rule>>,
    pub(super) budget: Budget,
    pub(super) handler: Handler,
}

/// A part of a pattern: one name, or `None` for any.
type Part = Option<Box<str>>;

impl Route {
    /// Creates a route that matches every host call, and refuses it.
    pub fn any() -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            pattern: [const { None }; PARTS],
            operations: None,
            rules: Vec::new(),
            budget: Budget::default(),
            handler: Handler::None,
        }
    }

    /// Matches only this binding; `*` is any.
    pub fn binding(mut self, name: &str) -> Self {
        let [binding, ..] = &mut self.pattern;
        *binding = part(name);
        self
    }

    /// Matches only this namespace; `*` is any.
    pub fn namespace(mut self, name: &str) -> Self {
        let [_, namespace, _] = &mut self.pattern;
        *namespace = part(name);
        self
    }

    /// Matches only this operation; `*` is any.
    pub fn operation(mut self, name: &str) -> Self {
        let [.., operation] = &mut self.pattern;
        *operation = part(name);
        self
    }

    /// Allows only these operations, of those that the route matches. The others are refused here,
    /// and no wider route is asked.
    pub fn operations<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.operations = Some(names.into_iter().map(|name| name.into().into_boxed_str()).collect());
        self
    }

    /// Allows only host calls that the rule allows. Where there are several rules, each must allow
    /// the call.
    ///
    /// The rule runs before each host call that the route matches. The parts of the call are
    /// hostile, and the rule must not block.
    pub fn allow(mut self, rule: impl Fn(&HostCall<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.rules.push(Box::new(rule));
        self
    }

    /// Limits how many host calls one guest call can make on this route. Refused calls do not
    /// count.
    pub fn max_calls(mut self, calls: u64) -> Self {
        self.budget.calls = Some(calls);
        self
    }

    /// Limits how many bytes one guest call can exchange on this route, payloads and answers
    /// together.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.budget.bytes = Some(bytes);
        self
    }

    /// Limits how long this route's handler can work and wait for one guest call, over all of its
    /// host calls.
    ///
    /// The time that is left is part of [`HostCall::deadline`] and of [`HostCall::caller`]. A
    /// handler that waits is dropped within two ticks ([`TICK`](crate::ticker::TICK)) after its
    /// time. The time of a handler that blocks its thread is checked when it returns, and an answer
    /// that comes too late is dropped.
    pub fn max_time(mut self, time: Duration) -> Self {
        self.budget.time = Some(time);
        self
    }

    /// Sets the handler that answers what the route matches and allows.
    pub fn handler(mut self, handler: impl HostHandler + 'static) -> Self {
        self.handler = Handler::Sync(Arc::new(handler));
        self
    }

    pub(super) fn pattern(&self) -> [Option<&str>; PARTS] {
        self.pattern.each_ref().map(|part| part.as_deref())
    }

    /// Answers or refuses a host call without giving up the thread.
    pub(super) fn answer(&self, call: HostCall<'_>) -> Said {
        self.check(&call)?;
        if self.budget.is_unlimited() {
            return self.run(call);
        }
        let turn = self.budget.admit(self.id, &call).map_err(|spent| over(&call, spent))?;
        let said = self.run(call.within(&turn.terms(&call)));
        settle(&call, said, |answer| turn.settle(call.ledger(), answer))
    }

    pub(super) fn check(&self, call: &HostCall<'_>) -> Result<(), HostCallError> {
        if matches!(self.handler, Handler::None) {
            return Err(refused(call, "its route has no handler"));
        }
        if self.operations.as_ref().is_some_and(|allowed| !allowed.contains(call.operation)) {
            return Err(refused(call, "its route does not allow this operation"));
        }
        if !self.rules.iter().all(|rule| rule(call)) {
            return Err(refused(call, "a rule of its route does not allow it"));
        }
        Ok(())
    }

    fn run(&self, call: HostCall<'_>) -> Said {
        match &self.handler {
            Handler::None => Err(refused(&call, "its route has no handler")),
            Handler::Sync(handler) => handler.handle(call),
            #[cfg(feature = "async")]
            Handler::Async(handler) => self.park(handler.as_ref(), call),
        }
    }
}

/// Charges the budget for an answer, and refuses the answer if it was too much.
pub(super) fn settle(
    call: &HostCall<'_>,
    said: Said,
    charge: impl FnOnce(Option<usize>) -> Result<(), Exhausted>,
) -> Said {
    charge(said.as_ref().ok().map(Bytes::len)).map_err(|spent| over(call, spent))?;
    said
}

fn part(name: &str) -> Part {
    (name != "*").then(|| name.into())
}

#[cold]
pub(super) fn over(call: &HostCall<'_>, spent: Exhausted) -> HostCallError {
    refused(call, spent)
}

/// Returns a refusal that names the host call. The guest wrote the names, so they are escaped and
/// cut: they should be short and harmless in a log.
#[cold]
pub(super) fn refused(call: &HostCall<'_>, why: impl fmt::Display) -> HostCallError {
    let [binding, namespace, operation] = [call.binding, call.namespace, call.operation].map(Name);
    HostCallError::new(format!("host call {binding}/{namespace}/{operation} refused: {why}"))
}

/// A name from the guest in quotes, escaped, and cut where it is long.
struct Name<'a>(&'a str);

impl Name<'_> {
    const SHOWN: usize = 64;
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut chars = self.0.chars();
        for c in chars.by_ref().take(Self::SHOWN) {
            write!(f, "{}", c.escape_debug())?;
        }
        f.write_str(if chars.next().is_some() { "\"..." } else { "\"" })
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [binding, namespace, operation] = self.pattern().map(|part| part.unwrap_or("*"));
        f.debug_struct("Route")
            .field("binding", &binding)
            .field("namespace", &namespace)
            .field("operation", &operation)
            .field("budget", &self.budget)
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_escaped_and_cut() {
        assert_eq!(Name("kv").to_string(), "\"kv\"");
        assert_eq!(Name("a\"b\n\u{1b}[0m\u{202e}").to_string(), r#""a\"b\n\u{1b}[0m\u{202e}""#);
        assert_eq!(Name(&"é".repeat(64)).to_string(), format!("\"{}\"", "é".repeat(64)));
        assert_eq!(Name(&"é".repeat(65)).to_string(), format!("\"{}\"...", "é".repeat(64)));
        let worst = "\u{10ffff}".repeat(1000);
        assert!(Name(&worst).to_string().len() <= 64 * 10 + 5);
    }
}
