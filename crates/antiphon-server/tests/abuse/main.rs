//! What clients do to a server on purpose or by mistake, over raw sockets, each with the answer
//! that the server has to give.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what it expects"
)]

mod connections;
mod framing;
mod harness;
mod operators;
mod secrets;
mod stopping;
mod tls;
mod tokens;
