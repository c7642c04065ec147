//! Guests on the developer's machine, and the messages for mistakes in guests.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics is a test that fails")]

#[cfg(feature = "capabilities")]
mod capabilities;
mod guest;
mod refusals;
