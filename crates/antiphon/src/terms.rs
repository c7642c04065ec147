//! The terms of one call: by when, cancelled by whom, on whose behalf.

use std::sync::Arc;
use std::time::Duration;

use crate::cancel::CancelHandle;
use crate::context::Context;
use crate::errors::{Error, ErrorKind, Phase};
use crate::ticker;

/// What holds for one call, whatever it is doing.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The tick at which it ends.
    pub(crate) deadline: u64,
    /// The duration that the deadline came from, for error messages.
    pub(crate) limit: Duration,
    pub(crate) cancel: Option<CancelHandle>,
    pub(crate) context: Option<Arc<Context>>,
    pub(crate) behalf: Option<Arc<Link>>,
}

/// A chain of hosts, each of which called the next one from a handler.
#[derive(Debug)]
pub(crate) struct Link {
    host: u64,
    outer: Option<Arc<Link>>,
}

/// Why something that waited was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    Deadline,
    Cancelled,
}

impl Default for Terms {
    fn default() -> Self {
        Self::new(ticker::NEVER, Duration::MAX)
    }
}

impl Terms {
    #[inline]
    pub(crate) fn new(deadline: u64, limit: Duration) -> Self {
        Self { deadline, limit, cancel: None, context: None, behalf: None }
    }

    /// Whether the call has to end now.
    #[inline]
    pub(crate) fn interrupt(&self) -> Option<Interrupt> {
        if ticker::now() >= self.deadline {
            return Some(Interrupt::Deadline);
        }
        match &self.cancel {
            Some(cancel) if cancel.is_cancelled() => Some(Interrupt::Cancelled),
            _ => None,
        }
    }

    #[cold]
    pub(crate) fn error(&self, interrupt: Interrupt, phase: Phase) -> Error {
        match interrupt {
            Interrupt::Deadline => Error::deadline(phase, format_args!("{:?}", self.limit)),
            Interrupt::Cancelled => {
                Error::new(ErrorKind::Cancelled, "the call was cancelled through its handle")
            }
        }
    }

    /// The stricter of these terms and a deadline of their own, for a part of the call.
    pub(crate) fn at_most(&self, deadline: u64, limit: Duration) -> Self {
        let mut terms = self.clone();
        if deadline < terms.deadline {
            (terms.deadline, terms.limit) = (deadline, limit);
        }
        terms
    }
}

/// A handler's call in a form that can be kept and sent elsewhere: on whose behalf an inner call is made.
///
/// A call made with it ([`Request::caller`](crate::Request::caller)) ends by the outer call's deadline, is cancelled
/// with it, and is refused at once where it would wait for a host that itself waits for this handler.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(crate) deadline: u64,
    pub(crate) limit: Duration,
    pub(crate) cancel: Option<CancelHandle>,
    pub(crate) link: Arc<Link>,
}

impl Caller {
    pub(crate) fn new(host: u64, terms: &Terms) -> Self {
        let link = Arc::new(Link { host, outer: terms.behalf.clone() });
        Self { deadline: terms.deadline, limit: terms.limit, cancel: terms.cancel.clone(), link }
    }

    /// How many hosts wait for this call, one inside the other; 1 for a handler of an ordinary call.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.link.hosts().count()
    }
}

impl Link {
    /// The hosts of the chain, innermost first.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(self), |link| link.outer.as_deref()).map(|link| link.host)
    }
}
