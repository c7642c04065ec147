//! A guest call in progress: the protocol's conversation with what a host adds to it.

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
use crate::call::{Isolation, Meter, Terms, until};
use crate::errors::{Error, Phase, Result};
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
    /// What holds for each call, whatever its request says.
    pub(crate) standing: Terms,
}

/// One guest call in progress, or the start of an instance, as an engine sees it.
///
/// An engine keeps it in its store's data while guest code runs; each waPC import is one method, named after it, that
/// takes the guest's memory and the import's arguments as they are: every check is made here. An `Err` ends the guest
/// call: the engine returns it from the import, and hands it, boxed, to the host.
///
/// A conversation that no call is running in answers every import harmlessly.
pub struct Conversation {
    protocol: protocol::Conversation,
    shared: Arc<Shared>,
    terms: Terms,
    /// What handlers note about the call; and whether anything below, or more than a deadline in the terms, was set: the
    /// one look that most calls need.
    ledger: Ledger,
    meter: Option<Box<Meter>>,
    /// Whether the answer is read in place rather than kept.
    in_place: bool,
    /// What an engine that knows only `ModuleState` could not report itself.
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

    /// Another one of the same host, in which nothing runs.
    #[must_use]
    pub fn spare(&self) -> Box<Self> {
        Box::new(Self::idle(Arc::clone(&self.shared)))
    }
}

/// The deadline and the cancel handle of a conversation: see [`Conversation::watch`].
#[derive(Clone, Debug)]
pub struct Watch(Terms);

impl Watch {
    /// Runs a future to its end, or to the end of the conversation's time.
    ///
    /// # Errors
    /// The deadline passed, or the call was cancelled; the future is dropped then.
    pub async fn over<F: Future>(&self, future: F) -> Result<F::Output> {
        until(&self.0, future).await.map_err(|interrupt| self.0.error(interrupt, Phase::Guest))
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
