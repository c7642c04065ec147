//! A guest without the standard library, whose panics tell the host why all the same.

#![no_std]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use antiphon_guest::errors::Error;
use antiphon_guest::prelude::*;
use serde::{Deserialize, Serialize};

antiphon_guest::panic_handler!();

/// The allocator that the standard library has on wasm32.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Answers the payload.
#[operation]
fn echo(payload: &[u8]) -> &[u8] {
    payload
}

/// Returns a guest error that carries the payload.
#[operation]
fn fail(payload: &str) -> Result<(), String> {
    Err(format!("the guest refused: {payload}"))
}

/// Panics: the host is told the message and the place, and the guest traps.
#[operation(name = "panic")]
fn panics(payload: &str) {
    panic!("the guest panicked: {payload}")
}

/// Asks the host to echo the payload and passes on what it said, well or ill.
#[operation]
fn host(payload: &[u8]) -> Result<Vec<u8>, String> {
    host_call("binding", "sample", "echo", payload)
        .map_err(|error| error.downcast_ref::<Error>().map(Error::host_text).unwrap_or_default())
}

/// Writes the payload to the host's console and answers nothing.
#[operation]
fn log(payload: &str) {
    console_log(payload);
}

/// Whom to greet, and how often.
#[derive(Deserialize)]
struct Request<'a> {
    name: &'a str,
    count: u32,
}

/// What `greet` answers.
#[derive(Serialize)]
struct Greeting {
    text: String,
    /// Of the text, in bytes.
    length: usize,
}

/// Takes `{name: str, count: u32}` and answers `{text: str, length: u32}`, both in MessagePack.
#[operation]
fn greet(request: Result<MessagePack<Request<'_>>, DecodeError>) -> Result<MessagePack<Greeting>, &'static str> {
    let MessagePack(Request { name, count }) =
        request.map_err(|_| "greet wants {name: str, count: u32} in MessagePack")?;
    if count > 1000 {
        return Err("greet says hello 1000 times at most");
    }
    let text = vec![format!("Hello, {name}!"); count as usize].join(" ");
    Ok(MessagePack(Greeting { length: text.len(), text }))
}

operations![echo, fail, panics, host, log, greet];
