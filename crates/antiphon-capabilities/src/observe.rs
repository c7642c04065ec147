//! What a program counts of the host calls of its guests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon::{Bytes, HostCall, HostCallError};

use crate::CallInfo;

/// One host call of a capability that has ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HostCallEnd<'a> {
    /// The namespace: `keyvalue`, `http`, `config`, `secrets`, `logging` or `module`. So it is a
    /// label of a metric without further ado.
    pub capability: &'static str,
    /// `ok`; or the code that the guest reads, one of a fixed list; or `ended`, where the guest's
    /// call was over first.
    pub outcome: &'a str,
    /// How long it took.
    pub took: Duration,
    /// Whose call it was; empty if the call's context does not say.
    pub call: &'a CallInfo,
}

/// The function that is told of each host call.
pub(crate) type Observer = Arc<dyn Fn(HostCallEnd<'_>) + Send + Sync>;

/// A host call that is observed. It tells the observer once, also if it is dropped half-way.
pub(crate) struct Observed<'a> {
    observer: &'a Observer,
    capability: &'static str,
    info: Option<&'a CallInfo>,
    begun: Instant,
    told: bool,
}

impl<'a> Observed<'a> {
    pub(crate) fn begin(
        observer: Option<&'a Observer>,
        capability: &'static str,
        call: &HostCall<'a>,
    ) -> Option<Self> {
        let info = call.context().get::<CallInfo>();
        observer.map(|observer| Self { observer, capability, info, begun: Instant::now(), told: false })
    }

    pub(crate) fn end(mut self, said: &Result<Bytes, HostCallError>) {
        match said {
            Ok(_) => self.tell("ok"),
            // Each error of a capability begins with its code.
            Err(error) => self.tell(error.to_string().split(':').next().unwrap_or_default()),
        }
    }

    fn tell(&mut self, outcome: &str) {
        self.told = true;
        let nobody = CallInfo::default();
        let call = self.info.unwrap_or(&nobody);
        (self.observer)(HostCallEnd {
            capability: self.capability,
            outcome,
            took: self.begun.elapsed(),
            call,
        });
    }
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.tell("ended");
        }
    }
}
