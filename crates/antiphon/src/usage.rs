//! What a call used.

use std::time::Duration;

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
