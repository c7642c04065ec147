//! The namespace `http`, against servers on this machine and names of the test's own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test says what it expects"
)]

#[path = "../common/mod.rs"]
mod common;

mod abuse;
mod guard;
mod redirects;
mod requests;
mod server;
