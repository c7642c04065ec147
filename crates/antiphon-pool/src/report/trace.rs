//! A span for each call. Without the feature `tracing` every method is empty.

use antiphon::errors::Error;

/// The span of a call, with operation, host, version, and outcome; never the payload.
#[cfg(feature = "tracing")]
pub(crate) struct CallSpan(tracing::Span);

#[cfg(feature = "tracing")]
impl CallSpan {
    #[inline]
    pub(crate) fn new(operation: &str) -> Self {
        use tracing::field::Empty;
        Self(tracing::info_span!(
            target: "antiphon::pool",
            "call",
            operation,
            host = Empty,
            version = Empty,
            outcome = Empty,
        ))
    }

    /// Records the instance that the call has got.
    #[inline]
    pub(crate) fn begin(&self, host: u64, version: u64) {
        if !self.0.is_disabled() {
            self.0.record("host", host).record("version", version);
        }
    }

    /// Makes all that happens until the guard is dropped a part of the call, above all the guest's
    /// log lines.
    #[inline]
    pub(crate) fn enter(&self) -> tracing::span::Entered<'_> {
        self.0.enter()
    }

    #[inline]
    pub(crate) fn end(mut self, error: Option<&Error>) {
        let span = std::mem::replace(&mut self.0, tracing::Span::none());
        if !span.is_disabled() {
            span.record("outcome", error.map_or("ok", Error::code));
        }
    }
}

#[cfg(feature = "tracing")]
impl Drop for CallSpan {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_disabled() {
            self.0.record("outcome", "dropped");
        }
    }
}

#[cfg(not(feature = "tracing"))]
pub(crate) struct CallSpan;

#[cfg(not(feature = "tracing"))]
pub(crate) struct Entered;

#[cfg(not(feature = "tracing"))]
#[expect(clippy::unused_self, reason = "the same methods as with the feature")]
impl CallSpan {
    #[inline(always)]
    pub(crate) fn new(_operation: &str) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn begin(&self, _host: u64, _version: u64) {}

    #[inline(always)]
    pub(crate) fn enter(&self) -> Entered {
        Entered
    }

    #[inline(always)]
    pub(crate) fn end(self, _error: Option<&Error>) {}
}
