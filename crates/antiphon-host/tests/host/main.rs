//! Both engines through the one crate.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod directories;
mod engines;
#[cfg(unix)]
mod files;
mod guest_fuel;
mod messagepack;
