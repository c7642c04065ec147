//! Guests that use what a host grants, on both engines, of hosts of both kinds.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod config;
mod guest;
mod http;
mod keyvalue;
mod languages;
mod module;
