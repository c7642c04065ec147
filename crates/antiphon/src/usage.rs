//! What a call used.

use std::time::Duration;

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
    /// Fuel that remained of the call's limit, where there is one.
    pub fuel_left: Option<u64>,
    /// Ticks of [`TICK`](crate::ticker::TICK) that passed from the guest's beginning to its end: what its deadline
    /// counts.
    pub ticks: u64,
    /// Log lines over the call's budget, which nobody saw.
    pub log_dropped: u64,
}

/// The fuel of one call, in the engine's units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "engines build it with a struct expression")]
pub struct FuelUse {
    /// What the guest burnt.
    pub burnt: u64,
    /// What it could have burnt; `u64::MAX` for no limit.
    pub limit: u64,
}
