//! Numbers for the `metrics` facade. Without the feature `metrics` every method is empty.

#[cfg(feature = "metrics")]
pub(crate) use on::{Meters, Present};

#[cfg(not(feature = "metrics"))]
pub(crate) use off::{Meters, Present};

#[cfg(feature = "metrics")]
mod on {
    use std::time::Duration;

    use antiphon::errors::Error;
    use antiphon::ticker::survive;
    use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

    /// The handles of a pool's metrics. They are made when the pool is built, with the recorder
    /// that is installed then. A recorder that panics loses a number and does not fail the call.
    pub(crate) struct Meters {
        name: String,
        answered: Counter,
        dropped: Counter,
        rebuilt: Counter,
        failed_starts: Counter,
        replaced: Counter,
        instances: Gauge,
        busy: Gauge,
        starting: Gauge,
        queued: Gauge,
        wait: Histogram,
        run: Histogram,
    }

    /// Counts one in a gauge until it is dropped.
    pub(crate) struct Present(Gauge);

    impl Present {
        fn new(gauge: &Gauge) -> Self {
            survive(|| gauge.increment(1.0));
            Self(gauge.clone())
        }
    }

    impl Drop for Present {
        fn drop(&mut self) {
            survive(|| self.0.decrement(1.0));
        }
    }

    /// Counts nothing, and registers nothing with a recorder: for a pool that is not built yet.
    impl Default for Meters {
        fn default() -> Self {
            let (counter, gauge, histogram) = (Counter::noop, Gauge::noop, Histogram::noop);
            Self {
                name: String::new(),
                answered: counter(),
                dropped: counter(),
                rebuilt: counter(),
                failed_starts: counter(),
                replaced: counter(),
                instances: gauge(),
                busy: gauge(),
                starting: gauge(),
                queued: gauge(),
                wait: histogram(),
                run: histogram(),
            }
        }
    }

    impl Meters {
        pub(crate) fn new(name: &str) -> Self {
            let pool = || ("pool", name.to_owned());
            let calls = |outcome: &'static str| {
                counter!("antiphon_pool_calls_total", &[pool(), ("outcome", outcome.into())])
            };
            Self {
                answered: calls("ok"),
                dropped: calls("dropped"),
                rebuilt: counter!("antiphon_pool_rebuilds_total", &[pool()]),
                failed_starts: counter!("antiphon_pool_failed_starts_total", &[pool()]),
                replaced: counter!("antiphon_pool_replacements_total", &[pool()]),
                instances: gauge!("antiphon_pool_instances", &[pool()]),
                busy: gauge!("antiphon_pool_busy", &[pool()]),
                starting: gauge!("antiphon_pool_starting", &[pool()]),
                queued: gauge!("antiphon_pool_queued", &[pool()]),
                wait: histogram!("antiphon_pool_wait_seconds", &[pool()]),
                run: histogram!("antiphon_pool_run_seconds", &[pool()]),
                name: name.to_owned(),
            }
        }

        pub(crate) fn present(&self) -> Present {
            Present::new(&self.instances)
        }

        pub(crate) fn starting(&self) -> Present {
            Present::new(&self.starting)
        }

        pub(crate) fn busy(&self) -> Present {
            Present::new(&self.busy)
        }

        pub(crate) fn queued(&self) -> Present {
            Present::new(&self.queued)
        }

        pub(crate) fn waited(&self, time: Duration) {
            survive(|| self.wait.record(time.as_secs_f64()));
        }

        pub(crate) fn ran(&self, time: Duration, error: Option<&Error>) {
            survive(|| self.run.record(time.as_secs_f64()));
            match error {
                None => survive(|| self.answered.increment(1)),
                Some(error) => self.refused(error),
            }
        }

        /// Counts a call that ended in an error, with or without an instance.
        pub(crate) fn refused(&self, error: &Error) {
            let labels = [("pool", self.name.clone()), ("outcome", error.code().to_owned())];
            survive(|| counter!("antiphon_pool_calls_total", &labels).increment(1));
        }

        pub(crate) fn dropped(&self) {
            survive(|| self.dropped.increment(1));
        }

        pub(crate) fn rebuilt(&self) {
            survive(|| self.rebuilt.increment(1));
        }

        pub(crate) fn failed_start(&self) {
            survive(|| self.failed_starts.increment(1));
        }

        pub(crate) fn replaced(&self) {
            survive(|| self.replaced.increment(1));
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use std::time::Duration;

    use antiphon::errors::Error;

    #[derive(Default)]
    pub(crate) struct Meters;

    pub(crate) struct Present;

    #[expect(clippy::unused_self, reason = "the same methods as with the feature")]
    impl Meters {
        pub(crate) fn new(_name: &str) -> Self {
            Self
        }

        pub(crate) fn present(&self) -> Present {
            Present
        }

        pub(crate) fn starting(&self) -> Present {
            Present
        }

        pub(crate) fn busy(&self) -> Present {
            Present
        }

        pub(crate) fn queued(&self) -> Present {
            Present
        }

        pub(crate) fn waited(&self, _time: Duration) {}

        pub(crate) fn ran(&self, _time: Duration, _error: Option<&Error>) {}

        pub(crate) fn refused(&self, _error: &Error) {}

        pub(crate) fn dropped(&self) {}

        pub(crate) fn rebuilt(&self) {}

        pub(crate) fn failed_start(&self) {}

        pub(crate) fn replaced(&self) {}
    }
}
