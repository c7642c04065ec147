//! What a call used.

use std::time::{Duration, Instant};

/// What a call used. Measured only where its [`Request`](crate::Request) asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Time in guest code.
    pub guest_time: Duration,
    /// Time in the host's handlers.
    pub host_time: Duration,
    /// Time before the guest ran: waiting for the host to be free, building an instance.
    pub queue_time: Duration,
    /// Host calls that the guest tried.
    pub host_calls: u32,
    /// Bytes that went into the guest: payload, and answers of host calls.
    pub bytes_in: u64,
    /// Bytes that came out of it: response, and payloads of host calls.
    pub bytes_out: u64,
    /// Size of the guest's memory at the end of the call, which is its peak (memory never shrinks); 0 if unknown.
    pub memory_peak: u64,
    /// Fuel that the guest burnt, where the engine counts it.
    pub fuel: Option<u64>,
}

/// The running measurement of one call.
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    entered: Instant,
    host_time: Duration,
    pub(crate) host_bytes_in: u64,
    pub(crate) host_bytes_out: u64,
    pub(crate) memory_peak: u64,
    pub(crate) fuel: Option<u64>,
}

impl Default for Meter {
    /// Starts to measure.
    fn default() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            entered: now,
            host_time: Duration::ZERO,
            host_bytes_in: 0,
            host_bytes_out: 0,
            memory_peak: 0,
            fuel: None,
        }
    }
}

impl Meter {
    /// The guest runs from now on.
    pub(crate) fn enter(&mut self) {
        self.entered = Instant::now();
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
            fuel: self.fuel,
        }
    }
}

/// What the conversation itself counted.
pub(crate) struct Traffic {
    pub(crate) host_calls: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}
