//! The sealed world from outside the crate.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod hostile;
mod sealed;
