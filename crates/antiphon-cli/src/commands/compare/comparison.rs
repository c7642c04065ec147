//! What calls on several engines must have in common, and where they differ.

use std::error::Error as _;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Bytes, HostCall, HostCallError, HostHandler, LogLine};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::lock::lock;
use crate::run::Rules;
use crate::terminal::Report;

/// The size and digest of some bytes: enough to compare them without keeping them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fingerprint {
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

impl Fingerprint {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { size, sha256: hex(Sha256::digest(bytes)) }
    }
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered(Fingerprint),
    Failed {
        report: Box<Report>,
        /// Whether the engine decided how far the guest got: time, fuel or the stack ended it.
        cut_short: bool,
    },
}

impl Outcome {
    pub(crate) fn failed(error: Error) -> Self {
        let cut_short = is_cut_short(&error);
        Self::Failed { report: Box::new(Report::new(&error.into())), cut_short }
    }

    /// Returns the exit code that `call` has for this outcome.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Answered(_) => 0,
            Self::Failed { report, .. } => report.status(),
        }
    }

    fn cut_short(&self) -> bool {
        matches!(self, Self::Failed { cut_short: true, .. })
    }

    /// Names the first difference between two outcomes. Messages of engines are not compared.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        match (self, other) {
            (Self::Answered(one), Self::Answered(two)) => (one != two).then_some("the answer"),
            (Self::Failed { report: one, .. }, Self::Failed { report: two, .. }) => {
                let facts = [
                    (one.code() == two.code(), "the kind of error"),
                    // A guest that was cut short may not have reached the point where it sets a
                    // text.
                    (self.cut_short() || one.guest_error() == two.guest_error(), "the guest's own text"),
                    (one.guest_exit_code() == two.guest_exit_code(), "the guest's exit code"),
                ];
                facts.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
            }
            _ => Some("whether the guest answers"),
        }
    }
}

/// Returns whether time, fuel or the engine's stack ended the guest, during a call or during its
/// start.
fn is_cut_short(error: &Error) -> bool {
    let ended = |error: &Error| {
        error.is_deadline() || matches!(error.kind(), ErrorKind::OutOfFuel | ErrorKind::StackOverflow)
    };
    ended(error) || error.source().and_then(|source| source.downcast_ref()).is_some_and(ended)
}

/// How the calls of one host ended.
#[derive(Debug)]
pub(crate) struct Ends {
    /// How the last call ended, or why there was no call.
    pub(crate) last: Outcome,
    /// The answers of all calls.
    pub(crate) history: Trace,
    /// What the guest did during the first call.
    pub(crate) deeds: Deeds,
}

impl Ends {
    /// Returns the outcome of a host that was never called.
    pub(crate) fn uncalled(error: Error, deeds: Deeds) -> Self {
        Self { last: Outcome::failed(error), history: Chain::default().trace(), deeds }
    }

    /// Names everything that differs; empty if nothing does.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let mut found: Vec<_> = self.last.difference(&other.last).into_iter().collect();
        if found.is_empty() && self.history != other.history {
            found.push("the answers of earlier calls");
        }
        // How far a guest gets before it is cut short depends on the engine, so its log and host
        // calls are not compared.
        if self.first_was_cut_short() || other.first_was_cut_short() {
            return found;
        }
        if self.deeds.log != other.deeds.log {
            found.push("what the guest logs");
        }
        if self.deeds.host_calls != other.deeds.host_calls {
            found.push("what the guest asks its host for");
        }
        found
    }

    fn first_was_cut_short(&self) -> bool {
        self.history.count == 0 && self.last.cut_short()
    }
}

/// The actions of a guest that its host could see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Deeds {
    pub(crate) log: Trace,
    pub(crate) host_calls: Trace,
}

/// The number of events, and a digest of them in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Trace {
    pub(crate) count: u64,
    pub(crate) sha256: String,
}

/// Watches a guest from its start to the end of its first call. Later calls are only timed.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    over: AtomicBool,
    seen: Mutex<[Chain; 2]>,
}

/// Builds a trace. Its size does not grow with the number of events.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    count: u64,
    hasher: Sha256,
}

impl Chain {
    /// Adds an event. Each part is hashed with its length, so that two parts never hash like one.
    pub(crate) fn push(&mut self, parts: &[&[u8]]) {
        self.count = self.count.saturating_add(1);
        for part in parts {
            self.hasher.update(part.len().to_le_bytes());
            self.hasher.update(part);
        }
    }

    pub(crate) fn trace(&self) -> Trace {
        Trace { count: self.count, sha256: hex(self.hasher.clone().finalize()) }
    }
}

impl Watch {
    /// Ends the watch: later events are ignored.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Returns what the guest has done so far.
    pub(crate) fn deeds(&self) -> Deeds {
        let [log, host_calls] = &*self.seen();
        Deeds { log: log.trace(), host_calls: host_calls.trace() }
    }

    pub(crate) fn log(&self, line: LogLine<'_>) {
        if !self.over.load(Ordering::Relaxed) {
            let stream = format!("{:?}", line.stream);
            let [log, _] = &mut *self.seen();
            log.push(&[stream.as_bytes(), line.text.as_bytes()]);
        }
    }

    fn host_call(&self, call: &HostCall<'_>) {
        if !self.over.load(Ordering::Relaxed) {
            let [binding, namespace, operation] =
                [call.binding, call.namespace, call.operation].map(str::as_bytes);
            let [_, host_calls] = &mut *self.seen();
            host_calls.push(&[binding, namespace, operation, call.payload]);
        }
    }

    fn seen(&self) -> MutexGuard<'_, [Chain; 2]> {
        lock(&self.seen)
    }
}

/// Rules whose host calls a [`Watch`] records.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) rules: Rules,
    pub(crate) watch: Arc<Watch>,
}

impl HostHandler for Watched {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        self.watch.host_call(&call);
        self.rules.handle(call)
    }
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(answer: &[u8]) -> Outcome {
        Outcome::Answered(Fingerprint::of(answer))
    }

    fn failed(kind: ErrorKind, text: Option<&str>) -> Outcome {
        Outcome::failed(Error::new(kind, "as the engine puts it").with_guest_error(text.map(str::to_owned)))
    }

    fn trace(events: &[&str]) -> Trace {
        let mut chain = Chain::default();
        events.iter().for_each(|event| chain.push(&[event.as_bytes()]));
        chain.trace()
    }

    fn ends(last: Outcome, history: &[&str], log: &[&str]) -> Ends {
        Ends { last, history: trace(history), deeds: Deeds { log: trace(log), host_calls: trace(&[]) } }
    }

    #[test]
    fn a_fingerprint_is_size_and_sha_256() {
        let fingerprint = Fingerprint::of(b"hello");
        assert_eq!(fingerprint.size, 5);
        assert_eq!(fingerprint.sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    }

    #[test]
    fn what_differs_is_named() {
        use ErrorKind::{DeadlineExceeded, GuestFailed, Trapped};
        let same = |one: Outcome, two: Outcome| one.difference(&two);
        assert_eq!(same(answered(b"a"), answered(b"a")), None);
        assert_eq!(same(answered(b"a"), answered(b"b")), Some("the answer"));
        assert_eq!(same(answered(b"a"), failed(Trapped, None)), Some("whether the guest answers"));
        assert_eq!(same(failed(Trapped, None), failed(GuestFailed, None)), Some("the kind of error"));
        let texts = |kind| same(failed(kind, Some("a")), failed(kind, Some("b")));
        assert_eq!(texts(GuestFailed), Some("the guest's own text"));
        assert_eq!(texts(DeadlineExceeded), None);
        let exit = |code| Outcome::failed(Error::new(Trapped, "exit").with_exit_code(code));
        assert_eq!(same(exit(1), exit(2)), Some("the guest's exit code"));
    }

    #[test]
    fn the_text_of_an_engine_is_no_difference() {
        let texts = ["wasm trap: unreachable", "unreachable executed"];
        let [one, two] = texts.map(|text| Outcome::failed(Error::new(ErrorKind::Trapped, text)));
        assert_eq!(one.difference(&two), None);
    }

    #[test]
    fn earlier_answers_count_and_so_does_what_the_guest_did() {
        let one = ends(answered(b"a"), &["x", "a"], &["line"]);
        assert_eq!(one.differences(&ends(answered(b"a"), &["x", "a"], &["line"])), Vec::<&str>::new());
        assert_eq!(
            one.differences(&ends(answered(b"a"), &["y", "a"], &[])),
            ["the answers of earlier calls", "what the guest logs"]
        );
        assert_eq!(one.differences(&ends(answered(b"b"), &["x", "b"], &["line"])), ["the answer"]);
    }

    #[test]
    fn how_far_a_guest_got_that_was_cut_short_does_not_count() {
        for kind in [ErrorKind::DeadlineExceeded, ErrorKind::OutOfFuel, ErrorKind::StackOverflow] {
            let cut = |log: &[&str]| ends(failed(kind, None), &[], log);
            assert_eq!(cut(&["one"]).differences(&cut(&["one", "two"])), Vec::<&str>::new(), "{kind}");
            let later = |log: &[&str]| ends(failed(kind, None), &["a"], log);
            assert_eq!(later(&["one"]).differences(&later(&[])), ["what the guest logs"], "{kind}");

            let start = || Outcome::failed(Error::init("_start", Error::new(kind, "as it was")));
            let start = |log: &[&str]| ends(start(), &[], log);
            assert_eq!(start(&["one"]).differences(&start(&[])), Vec::<&str>::new(), "{kind}");
        }
        let trapped = |log: &[&str]| ends(failed(ErrorKind::Trapped, None), &[], log);
        assert_eq!(trapped(&["one"]).differences(&trapped(&[])), ["what the guest logs"]);
    }

    #[test]
    fn the_parts_of_an_event_cannot_pass_for_others() {
        let chain = |parts: &[&[u8]]| {
            let mut chain = Chain::default();
            chain.push(parts);
            chain.trace()
        };
        assert_ne!(chain(&[b"ab", b"c"]), chain(&[b"a", b"bc"]));
        assert_eq!(chain(&[b"ab", b"c"]), chain(&[b"ab", b"c"]));
    }
}
