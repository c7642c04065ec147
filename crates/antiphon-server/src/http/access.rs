//! The access log: a line a call, to the target `antiphon::access`.
//!
//! A line has no payload, no token and no query.

use std::time::Duration;

use http::{Method, StatusCode};
use tracing::{Level, enabled, info};

use crate::desired::Digest;

/// The most bytes of a path or a name in a line.
const LONGEST: usize = 256;

/// What a line says.
pub(super) struct Line<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) status: StatusCode,
    /// Empty if the request names none.
    pub(super) module: &'a str,
    pub(super) digest: Option<Digest>,
    pub(super) code: &'static str,
    pub(super) took: Duration,
    pub(super) received: usize,
    pub(super) sent: usize,
    pub(super) trace_id: u128,
    /// The name of the token; never the token.
    pub(super) token: &'a str,
}

impl Line<'_> {
    /// Writes the line, if the log is on.
    #[inline]
    pub(super) fn write(&self) {
        if enabled!(target: "antiphon::access", Level::INFO) {
            self.write_now();
        }
    }

    #[inline(never)]
    fn write_now(&self) {
        info!(
            target: "antiphon::access",
            method = self.method.as_str(),
            path = short(self.path),
            status = self.status.as_u16(),
            module = Some(short(self.module)).filter(|module| !module.is_empty()),
            digest = self.digest.map(tracing::field::display),
            code = self.code,
            duration_us = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX),
            bytes_in = self.received,
            bytes_out = self.sent,
            trace_id = format_args!("{:032x}", self.trace_id),
            token = self.token,
        );
    }
}

/// Cuts a text that a client wrote.
fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default()
}
