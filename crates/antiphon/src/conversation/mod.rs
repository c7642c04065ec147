//! A guest call in progress: the protocol's conversation, and what a host adds to it.
//!
//! The protocol's conversation is pure. This one wraps it with what a pure state machine must not
//! know: the handler, the clock, the log. Engines see only this one. The engine's store owns it for
//! the time of a call, so imports take no lock.

pub(crate) mod answer_in_place;
mod host_call;
#[cfg(feature = "async")]
mod host_call_async;
mod imports;
mod lifecycle;
mod log;
mod output;
pub(crate) mod payload_in_place;

use std::fmt;
use std::sync::Arc;

use antiphon_protocol::{self as protocol, Limits};

pub use self::log::{LogLine, LogStream};
pub(crate) use self::output::{InPlace, Output, Reused};

use self::log::LogSink;
use crate::call::{Isolation, Meter, Terms};
use crate::errors::Error;
use crate::handler::{Handler, Ledger};

/// What all conversations of a host share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) id: u64,
    pub(crate) handler: Handler,
    pub(crate) limits: Arc<Limits>,
    pub(crate) isolation: Isolation,
    pub(crate) log: Option<LogSink>,
    pub(crate) host_calls_in_init: bool,
    /// The terms that hold for each call, whatever its request says.
    pub(crate) standing: Terms,
}

/// One guest call in progress, or the start of an instance, as an engine sees it.
///
/// An engine keeps it in its store's data while guest code runs. Each waPC import is one method of
/// the same name, which takes the guest's memory and the import's arguments as they are; every
/// check is made here. An `Err` ends the guest call: the engine returns it from the import, and
/// hands it, boxed, to the host.
///
/// A conversation in which no call runs answers every import harmlessly.
pub struct Conversation {
    protocol: protocol::Conversation,
    shared: Arc<Shared>,
    terms: Terms,
    /// What handlers note about the call. It also says whether any field below is set, or more than
    /// a deadline in the terms: most calls need only this one look.
    ledger: Ledger,
    meter: Option<Box<Meter>>,
    /// Whether the answer is read in place instead of kept.
    in_place: bool,
    /// An error that an engine which knows only `ModuleState` could not report itself.
    failure: Option<Error>,
}

impl Conversation {
    pub(crate) fn idle(shared: Arc<Shared>) -> Self {
        Self {
            protocol: protocol::Conversation::new(Arc::clone(&shared.limits)),
            terms: shared.standing.clone(),
            shared,
            ledger: Ledger::default(),
            meter: None,
            in_place: false,
            failure: None,
        }
    }

    /// Returns another conversation of this host, in which nothing runs.
    #[must_use]
    pub fn spare(&self) -> Box<Self> {
        Box::new(Self::idle(Arc::clone(&self.shared)))
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("host", &self.shared.id)
            .field("operation", &self.protocol.operation())
            .finish_non_exhaustive()
    }
}
