//! Hosts on engines that are made for tests.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that panics is a test that fails")]

// A provider of `wapc` 2.2 names its crate so.
#[cfg(feature = "async")]
extern crate antiphon as wapc;

#[cfg(feature = "async")]
mod foreign_provider;
#[cfg(feature = "async")]
mod instances;
mod interleavings;
#[cfg(feature = "async")]
mod reports;
mod router;
