//! The terms of one call: its deadline, what may cancel it, on whose behalf it is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{CancelHandle, Context};
use crate::errors::{Error, ErrorKind, Exceeded, Phase};
use crate::time::Deadline;

/// The terms of one call, whatever it is doing.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) deadline: Deadline,
    /// Behind one pointer, which is empty for most calls, because terms are moved in every call.
    pub(super) extra: Option<Arc<Extra>>,
}

/// The terms that only some calls have.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) handles: Handles,
    pub(super) context: Option<Context>,
    pub(super) behalf: Option<Arc<Link>>,
    /// The limit of fuel of this call.
    pub(super) fuel: Option<u64>,
}

/// A chain of hosts, each of which called the next one from a handler.
#[derive(Debug)]
pub(crate) struct Link {
    host: u64,
    /// Whether the handler still runs. After it has ended, nothing waits for it.
    running: Arc<AtomicBool>,
    /// The handles that end the host's call, and with it the calls that its handler makes.
    handles: Handles,
    outer: Option<Arc<Link>>,
}

/// The handles that may end a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Handles {
    /// The handle of the call's own request.
    pub(super) cancel: Option<CancelHandle>,
    /// The handle that ends every call of the host.
    pub(super) stop: Option<CancelHandle>,
}

/// Why a wait was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    Deadline,
    Cancelled,
}

impl Default for Terms {
    fn default() -> Self {
        Self::new(Deadline::NEVER)
    }
}

impl Terms {
    #[inline]
    pub(crate) fn new(deadline: Deadline) -> Self {
        Self { deadline, extra: None }
    }

    /// Returns the terms of all calls of a host that a handle ends.
    pub(crate) fn stopped_by(stop: CancelHandle) -> Self {
        let handles = Handles { cancel: None, stop: Some(stop) };
        let extra = Extra { handles, ..Extra::default() };
        Self { deadline: Deadline::NEVER, extra: Some(Arc::new(extra)) }
    }

    /// Returns these terms with another deadline.
    pub(crate) fn by(&self, deadline: Deadline) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// Drops all but the terms that hold for every call of the host.
    pub(crate) fn release(&mut self, host: &Self) {
        self.deadline = host.deadline;
        self.extra.clone_from(&host.extra);
    }

    #[inline]
    pub(super) fn stop(&self) -> Option<&CancelHandle> {
        self.extra.as_ref()?.handles.stop.as_ref()
    }

    /// Returns all handles that may end the call: its own, and those of the calls that wait for it.
    pub(super) fn handles(&self) -> impl Iterator<Item = &CancelHandle> {
        let outer = self.behalf().into_iter().flat_map(|link| link.links()).map(|link| &link.handles);
        let own = self.extra.as_ref().map(|extra| &extra.handles);
        own.into_iter().chain(outer).flat_map(Handles::iter)
    }

    pub(crate) fn context(&self) -> Option<&Context> {
        self.extra.as_ref()?.context.as_ref()
    }

    pub(crate) fn fuel(&self) -> Option<u64> {
        self.extra.as_ref()?.fuel
    }

    pub(crate) fn behalf(&self) -> Option<&Arc<Link>> {
        self.extra.as_ref()?.behalf.as_ref()
    }

    /// Returns why the call has to end now, if it has to.
    #[inline]
    pub(crate) fn interrupt(&self) -> Option<Interrupt> {
        if self.deadline.is_over() {
            return Some(Interrupt::Deadline);
        }
        self.is_cancelled().then_some(Interrupt::Cancelled)
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.extra.is_some() && self.handles().any(CancelHandle::is_cancelled)
    }

    fn is_stopped(&self) -> bool {
        self.stop().is_some_and(CancelHandle::is_cancelled)
    }

    #[cold]
    pub(crate) fn error(&self, interrupt: Interrupt, phase: Phase) -> Error {
        match interrupt {
            Interrupt::Deadline => {
                let (limit, used) = (self.deadline.limit, self.deadline.used());
                Error::deadline(phase, format_args!("{limit:?}"), format_args!("{used:?}"))
                    .with_exceeded(Exceeded::time("deadline", limit, used))
            }
            Interrupt::Cancelled if self.is_stopped() => {
                let what =
                    "the host was stopped, and its calls with it: its pool was drained, or its program ends";
                Error::new(ErrorKind::Cancelled, what)
            }
            Interrupt::Cancelled => {
                Error::new(ErrorKind::Cancelled, "the call was cancelled through its handle")
            }
        }
    }

    /// Returns these terms with the earlier of their deadline and another one, for a part of the
    /// call.
    pub(crate) fn at_most(&self, deadline: Deadline) -> Self {
        Self { deadline: self.deadline.earlier(deadline), ..self.clone() }
    }
}

/// A handler's call in a form that can be kept and sent to another task. It says on whose behalf an
/// inner call is made.
///
/// A call that is made with it ([`Request::caller`](crate::Request::caller)) ends by the outer
/// call's deadline and is cancelled with it. It is refused at once where it would wait for a host
/// that itself waits for this handler.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(crate) deadline: Deadline,
    pub(crate) link: Arc<Link>,
}

impl Caller {
    pub(crate) fn new(host: u64, running: Arc<AtomicBool>, terms: &Terms) -> Self {
        let handles = terms.extra.as_ref().map(|extra| extra.handles.clone()).unwrap_or_default();
        let link = Arc::new(Link { host, running, handles, outer: terms.behalf().cloned() });
        Self { deadline: terms.deadline, link }
    }

    /// How many hosts may wait for a call, one inside the other. A deeper call is refused as
    /// [`Reentrancy`](ErrorKind::Reentrancy): calls so deep mostly go round in a circle, which so
    /// ends soon, whatever the deadlines.
    pub const MAX_DEPTH: usize = 8;

    /// Returns how many hosts wait for this call, one inside the other; 1 for a handler of an
    /// ordinary call.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.link.links().count()
    }

    pub(crate) fn check_depth(&self) -> Result<(), Error> {
        let depth = self.depth();
        if depth <= Self::MAX_DEPTH {
            return Ok(());
        }
        let what = format!(
            "{depth} hosts would wait for this call, one inside the other: at most {} may",
            Self::MAX_DEPTH
        );
        let [allowed, used] = [Self::MAX_DEPTH, depth].map(|calls| u64::try_from(calls).unwrap_or(u64::MAX));
        Err(Error::new(ErrorKind::Reentrancy, what)
            .with_exceeded(Exceeded::new("depth", allowed, used, "calls")))
    }
}

impl Handles {
    fn iter(&self) -> impl Iterator<Item = &CancelHandle> {
        [&self.cancel, &self.stop].into_iter().flatten()
    }
}

impl Link {
    /// Returns whether the host waits for a handler of the chain.
    pub(crate) fn waits(&self, host: u64) -> bool {
        self.links().any(|link| link.host == host && link.running.load(Ordering::Acquire))
    }

    /// Returns the chain, innermost link first.
    fn links(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |link| link.outer.as_deref())
    }
}
