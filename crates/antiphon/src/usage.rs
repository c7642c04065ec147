//! What a call used.

use std::time::{Duration, Instant};

use crate::ticker;

/// What a call used. It is measured only if the call's [`Request`](crate::Request) asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Time in guest code.
    pub guest_time: Duration,
    /// Time in the host's handlers.
    pub host_time: Duration,
    /// Time before the guest ran: waiting for the host, building an instance.
    pub queue_time: Duration,
    /// Host calls that the guest tried.
    pub host_calls: u32,
    /// Bytes that went into the guest: payload, and answers of host calls.
    pub bytes_in: u64,
    /// Bytes that came out of the guest: response, and payloads of host calls.
    pub bytes_out: u64,
    /// Size of the guest's memory at the end of the call, in bytes; 0 if unknown. It is the peak,
    /// because memory never shrinks.
    pub memory_peak: u64,
    /// Fuel that the guest burnt, where the engine counts it.
    pub fuel: Option<u64>,
    /// Fuel that remained of the call's limit, where there is one.
    pub fuel_left: Option<u64>,
    /// Ticks ([`TICK`](crate::ticker::TICK)) that passed from the guest's beginning to its end, in
    /// the units of its deadline.
    pub ticks: u64,
    /// Log lines over the call's budget, which were dropped.
    pub log_dropped: u64,
}

/// The fuel of one call, in the engine's units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "engines build it with a struct expression")]
pub struct FuelUse {
    /// What the guest burnt.
    pub burnt: u64,
    /// What the guest was allowed to burn; `u64::MAX` for no limit.
    pub limit: u64,
}

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
