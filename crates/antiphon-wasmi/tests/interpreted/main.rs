//! Guests on wasmi. What measures the process is in `leaks`.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod builder;
mod fuel;
mod overshoot;
mod slices;
mod start;
mod table_grow;
mod threads;
mod wrapped;
