//! A waPC guest as its author would write it with `antiphon-guest`: the operations that all example guests have, and
//! typed ones.

use std::borrow::Cow;

use antiphon_guest::errors::Error;
use antiphon_guest::prelude::*;
use serde::{Deserialize, Serialize};

/// Answers the payload.
#[operation]
fn echo(payload: &[u8]) -> &[u8] {
    payload
}

/// Answers nothing.
#[operation]
fn null() {}

/// Returns a guest error that carries the payload.
#[operation]
fn fail(payload: &[u8]) -> Result<(), String> {
    Err(format!("the guest refused: {}", text(payload)))
}

/// Panics: the host is told the message and the place, and the guest traps.
#[operation(name = "panic")]
fn panics(payload: &[u8]) {
    panic!("the guest panicked: {}", text(payload))
}

/// Asks the host to echo the payload and passes on what it said, well or ill.
#[operation]
fn host(payload: &[u8]) -> Result<Vec<u8>, String> {
    host_call("binding", "sample", "echo", payload).map_err(|error| match error.downcast_ref::<Error>() {
        Some(error) => error.host_text(),
        None => error.to_string(),
    })
}

/// Writes the payload to the host's console and answers nothing.
#[operation]
fn log(payload: &[u8]) {
    console_log(&text(payload));
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

/// Takes `{name: str, count: u32}` and answers `{text: str, length: u32}`, both in MessagePack. It says itself what is wrong
/// with a payload that is something else.
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

/// Adds two numbers. Here a payload that is something else is refused before the function runs: the host is told at which
/// byte, and in which field.
#[operation(name = "math/add")]
fn add(MessagePack((a, b)): MessagePack<(u32, u32)>) -> Result<MessagePack<u32>, &'static str> {
    a.checked_add(b).map(MessagePack).ok_or("too large")
}

/// An operation with a long name: it is compared as a whole.
#[operation(name = "text/upper-case")]
fn upper_case(payload: &str) -> String {
    payload.to_ascii_uppercase()
}

operations![echo, null, fail, panics, host, log, greet, add, upper_case];

/// The payload as text; bytes that are no UTF-8 become replacement characters.
fn text(payload: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(payload)
}
