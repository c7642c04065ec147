//! What happened to modules and to the configuration.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::{Feed, Reader, Room, Weighed};
use crate::desired::Digest;

/// The events of a server: the last 1,024.
#[derive(Clone, Debug)]
pub struct Events(Arc<Feed<Event>>);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// Its number: 1 for the first one since the start of the server.
    pub number: u64,
    /// When it happened, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The module that it happened to; none for the server as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<Arc<str>>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A version was asked for. It does not serve yet.
    Deployed {
        /// The version.
        digest: Digest,
        /// The share of calls that it is to have, in percent; none for all of them.
        #[serde(skip_serializing_if = "Option::is_none")]
        share: Option<u8>,
        /// Where the wish comes from.
        by: By,
        /// What the operator says about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Arc<str>>,
    },
    /// A version is compiled and started, and could serve.
    Warmed {
        /// The version.
        digest: Digest,
        /// How long that took, in milliseconds.
        took_ms: u64,
    },
    /// Another version serves.
    Switched {
        /// The version that served before.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<Digest>,
        /// The version that serves.
        to: Digest,
    },
    /// A canary takes its share of the calls.
    CanaryStarted {
        /// The canary.
        digest: Digest,
        /// Its share of calls, in percent.
        share: u8,
    },
    /// The canary is the version that serves.
    Promoted {
        /// The version.
        digest: Digest,
    },
    /// A version serves no longer, and the one before serves again.
    RolledBack {
        /// The version that was rolled back.
        digest: Digest,
        /// What rolled it back.
        by: By,
        /// Why.
        reason: Arc<str>,
    },
    /// A version does not load or start. It serves no call.
    Quarantined {
        /// The version.
        digest: Digest,
        /// The stable code of the error.
        code: &'static str,
        /// What happened.
        reason: Arc<str>,
    },
    /// A version has served its last call, and its instances are gone.
    Drained {
        /// The version.
        digest: Digest,
    },
    /// The module takes no calls until an operator says otherwise.
    Stopped,
    /// The module is gone.
    Removed,
    /// A new configuration holds.
    ConfigReloaded,
    /// A new configuration was refused. The old one holds.
    ConfigRefused {
        /// Why.
        reason: Arc<str>,
    },
}

/// What changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// An operator.
    Operator,
    /// The rule for canaries.
    Rule,
    /// A file or the configuration.
    File,
    /// The server, because the version does not load or start.
    Quarantine,
}

impl Default for Events {
    fn default() -> Self {
        Self(Arc::new(Feed::new(Room { entries: 1024, bytes: 1 << 20 })))
    }
}

impl Events {
    /// Adds an event.
    pub fn emit(&self, module: Option<&Arc<str>>, kind: EventKind) {
        let at_ms = now_ms();
        tracing::info!(target: "antiphon::server", module = module.map(|name| &**name), event = ?kind);
        self.0.push(|number| Event { number, at_ms, module: module.cloned(), kind });
    }

    /// Begins to read after the event with this number; 0 reads all that are kept.
    #[must_use]
    pub fn after(&self, number: u64) -> Reader<Event> {
        self.0.after(number)
    }

    /// Returns the number of the newest event; 0 if there was none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.0.last()
    }
}

impl Weighed for Event {
    fn weight(&self) -> usize {
        let text = match &self.kind {
            EventKind::Quarantined { reason, .. }
            | EventKind::RolledBack { reason, .. }
            | EventKind::ConfigRefused { reason } => reason.len(),
            EventKind::Deployed { note: Some(note), .. } => note.len(),
            _ => 0,
        };
        size_of::<Self>().saturating_add(text)
    }
}

/// Returns the milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Read;

    #[test]
    fn an_event_is_one_flat_object() {
        let events = Events::default();
        let digest = Digest::of(b"x");
        events.emit(Some(&"pricing".into()), EventKind::CanaryStarted { digest, share: 5 });
        events.emit(None, EventKind::ConfigReloaded);
        let mut reader = events.after(0);
        let mut next = || match reader.try_next() {
            Some(Read::Entry(event)) => serde_json::to_value(&*event).unwrap(),
            other => panic!("{other:?}"),
        };
        let first = next();
        assert_eq!(first["number"], 1);
        assert_eq!(first["module"], "pricing");
        assert_eq!(first["event"], "canary_started");
        assert_eq!(first["digest"], digest.to_string());
        assert_eq!(first["share"], 5);
        let second = next();
        assert_eq!((&second["number"], &second["event"]), (&2.into(), &"config_reloaded".into()));
        assert!(second.get("module").is_none());
    }
}
