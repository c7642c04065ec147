//! The running measurement of a call.

use std::time::{Duration, Instant};

use crate::time::ticker;
use crate::usage::{FuelUse, Usage};

/// The running measurement of one call.
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    entered: Instant,
    entered_at: u64,
    host_time: Duration,
    pub(crate) host_bytes_in: u64,
    pub(crate) host_bytes_out: u64,
    pub(crate) memory_peak: u64,
    pub(crate) fuel: Option<FuelUse>,
}

impl Meter {
    /// Starts to measure. `begun` is when the call began to wait, if that was earlier.
    pub(crate) fn since(begun: Option<Instant>) -> Self {
        let now = Instant::now();
        Self {
            started: begun.unwrap_or(now),
            entered: now,
            entered_at: ticker::now(),
            host_time: Duration::ZERO,
            host_bytes_in: 0,
            host_bytes_out: 0,
            memory_peak: 0,
            fuel: None,
        }
    }

    /// Notes that the guest runs from now on.
    pub(crate) fn enter(&mut self) {
        self.entered = Instant::now();
        self.entered_at = ticker::now();
    }

    pub(crate) fn add_host_time(&mut self, time: Duration) {
        self.host_time = self.host_time.saturating_add(time);
    }

    pub(crate) fn finish(&self, call: Traffic) -> Usage {
        Usage {
            guest_time: self.entered.elapsed().saturating_sub(self.host_time),
            host_time: self.host_time,
            queue_time: self.entered.duration_since(self.started),
            host_calls: u32::try_from(call.host_calls).unwrap_or(u32::MAX),
            bytes_in: call.request_bytes.saturating_add(self.host_bytes_in),
            bytes_out: call.response_bytes.saturating_add(self.host_bytes_out),
            memory_peak: self.memory_peak,
            fuel: self.fuel.map(|fuel| fuel.burnt),
            fuel_left: self
                .fuel
                .filter(|fuel| fuel.limit != u64::MAX)
                .map(|fuel| fuel.limit.saturating_sub(fuel.burnt)),
            ticks: ticker::now().saturating_sub(self.entered_at),
            log_dropped: call.log_dropped,
        }
    }
}

/// What the conversation itself counted.
pub(crate) struct Traffic {
    pub(crate) host_calls: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) log_dropped: u64,
}
