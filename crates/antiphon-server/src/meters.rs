//! The server's own numbers, beside those of the pools.
//!
//! Labels are names of modules that are served, and codes of the table in
//! [`outcome`](crate::outcome): nothing that a client writes becomes one.

use std::time::Duration;

use antiphon::ticker::survive;
use metrics::{Counter, Gauge, Histogram, Label, Unit, counter, gauge, histogram};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::deployment::Version;

/// The upper bounds of the buckets of every time, in seconds.
const BUCKETS: [f64; 16] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 1.0, 2.5,
];

/// Makes what keeps the numbers. Install it before a server or a pool is made: each takes its
/// handles when it begins.
///
/// # Errors
/// The exporter refuses the buckets, which is a fault of this build.
pub fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    Ok(PrometheusBuilder::new().set_buckets_for_metric(seconds, &BUCKETS)?.build_recorder())
}

/// What the calls of a module count. Its handles are made once.
pub(crate) struct Served {
    answered: Counter,
    seconds: Histogram,
    received: Counter,
    sent: Counter,
}

impl Served {
    /// Makes the handles of a module. Those of its other versions count the same numbers.
    pub(crate) fn new(module: &str) -> Self {
        let label = || vec![Label::new("module", module.to_owned())];
        let mut answered = label();
        answered.push(Label::from_static_parts("code", "ok"));
        Self {
            answered: counter!("antiphon_server_calls_total", answered),
            seconds: histogram!("antiphon_server_call_seconds", label()),
            received: counter!("antiphon_server_received_bytes_total", label()),
            sent: counter!("antiphon_server_sent_bytes_total", label()),
        }
    }
}

/// The server's own numbers.
pub(crate) struct Meters {
    in_flight: Gauge,
    handle: Option<PrometheusHandle>,
}

/// A call that is running, until it is dropped.
pub(crate) struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        survive(|| self.0.decrement(1.0));
    }
}

/// What a call came to, in numbers.
pub(crate) struct Tally {
    pub(crate) code: &'static str,
    pub(crate) took: Duration,
    pub(crate) received: usize,
    pub(crate) sent: usize,
}

impl Meters {
    /// Describes the numbers, and takes handles of the recorder that is installed. `handle` renders
    /// them.
    pub(crate) fn new(handle: Option<PrometheusHandle>) -> Self {
        for (name, unit, text) in [
            (
                "antiphon_server_calls_total",
                Unit::Count,
                "Calls that reached a module, by code: ok, or that of the problem",
            ),
            (
                "antiphon_server_refused_total",
                Unit::Count,
                "Requests that reached no module, by the code of the problem",
            ),
            ("antiphon_server_received_bytes_total", Unit::Bytes, "Payloads of calls that were answered"),
            ("antiphon_server_sent_bytes_total", Unit::Bytes, "Answers of guests"),
        ] {
            metrics::describe_counter!(name, unit, text);
        }
        metrics::describe_histogram!(
            "antiphon_server_call_seconds",
            Unit::Seconds,
            "From the headers of a call to its answer, of calls that reached a module"
        );
        metrics::describe_gauge!("antiphon_server_in_flight", Unit::Count, "Calls that are running or wait");
        metrics::describe_gauge!(
            "antiphon_server_connections",
            Unit::Count,
            "Connections, by port: calls or admin"
        );
        Self { in_flight: gauge!("antiphon_server_in_flight"), handle }
    }

    /// Notes that a call runs.
    pub(crate) fn enter(&self) -> InFlight<'_> {
        survive(|| self.in_flight.increment(1.0));
        InFlight(&self.in_flight)
    }

    /// Counts a call that reached a version.
    #[inline]
    pub(crate) fn count(&self, version: &Version, module: &str, tally: &Tally) {
        let served = &version.served;
        survive(|| {
            served.seconds.record(tally.took);
            served.received.increment(tally.received as u64);
            served.sent.increment(tally.sent as u64);
            if tally.code == "ok" {
                served.answered.increment(1);
            } else {
                failed(module, tally.code);
            }
        });
    }

    /// Counts a call of a module that had no version for it.
    #[cold]
    pub(crate) fn count_without(&self, module: &str, code: &'static str) {
        survive(|| failed(module, code));
    }

    /// Counts a request that reached no module.
    #[cold]
    pub(crate) fn refuse(&self, code: &'static str) {
        survive(|| counter!("antiphon_server_refused_total", "code" => code).increment(1));
    }

    /// Returns all numbers in the text format of Prometheus; `None` where none are kept.
    pub(crate) fn render(&self) -> Option<String> {
        self.handle.as_ref().map(PrometheusHandle::render)
    }

    /// Folds what was recorded since the last time into buckets, so that times which nobody asks
    /// for take no memory.
    pub(crate) fn fold(&self) {
        if let Some(handle) = &self.handle {
            handle.run_upkeep();
        }
    }
}

#[cold]
fn failed(module: &str, code: &'static str) {
    counter!("antiphon_server_calls_total", "module" => module.to_owned(), "code" => code).increment(1);
}
