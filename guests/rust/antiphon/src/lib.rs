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

/// Whom to greet.
#[derive(Deserialize)]
struct Person<'a> {
    name: &'a str,
    age: u8,
}

/// What `greet` answers.
#[derive(Serialize)]
struct Greeting {
    text: String,
    adult: bool,
}

/// Greets a person, in MessagePack.
#[operation]
fn greet(MessagePack(Person { name, age }): MessagePack<Person<'_>>) -> MessagePack<Greeting> {
    MessagePack(Greeting { text: format!("hello, {name}"), adult: age >= 18 })
}

/// An operation with a long name: it is compared as a whole.
#[operation(name = "text/upper-case")]
fn upper_case(payload: &str) -> String {
    payload.to_ascii_uppercase()
}

operations![echo, null, fail, panics, host, log, greet, upper_case];

/// The payload as text; bytes that are no UTF-8 become replacement characters.
fn text(payload: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(payload)
}
