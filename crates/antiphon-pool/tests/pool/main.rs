//! What a pool does with calls, faults, and replacements. Nothing here measures the process, so all
//! tests may run at once.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod calls;
mod circle;
mod drain;
mod faults;
mod hostile;
mod replace;
mod router;
#[path = "../support/mod.rs"]
mod support;
mod threads;
