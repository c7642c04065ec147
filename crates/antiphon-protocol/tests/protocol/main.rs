//! The conversation from outside the crate.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod conversation;
mod hostile;
