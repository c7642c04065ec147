//! A waPC guest that uses all that a host grants. Its operations take and answer tuples in MessagePack, and fail with
//! the text of the refusal.

#![no_std]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use antiphon_guest::keyvalue::{Revision, Store};
use antiphon_guest::prelude::*;
use antiphon_guest::{Refused, config, http, logging, module, secrets};
use serde_bytes::{ByteBuf, Bytes};

antiphon_guest::panic_handler!();

/// The allocator that the standard library has on wasm32.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// What an operation ends with.
type Answer<T> = Result<MessagePack<T>, Refused>;

/// Keeps the payload in the host's store, and answers what it kept before.
#[operation]
fn remember(payload: &[u8]) -> Result<Vec<u8>, Refused> {
    let before = Store::default().get("last")?;
    Store::default().put("last", payload)?;
    Ok(before.map(|entry| entry.value).unwrap_or_default())
}

/// Takes a grant's name and a key; answers the value and its revision, or nil.
#[operation]
fn get(MessagePack((grant, key)): MessagePack<(&str, &str)>) -> Answer<Option<(ByteBuf, u64)>> {
    let entry = Store::grant(grant).get(key)?;
    Ok(MessagePack(entry.map(|entry| (ByteBuf::from(entry.value), entry.revision.0))))
}

/// Takes a grant's name, a key, a value and how long it lasts in milliseconds, or nil; answers the revision.
#[operation]
fn put(MessagePack((grant, key, value, lasts)): MessagePack<(&str, &str, &Bytes, Option<u64>)>) -> Answer<u64> {
    let mut store = Store::grant(grant);
    if let Some(millis) = lasts {
        store = store.expires_in(Duration::from_millis(millis));
    }
    Ok(MessagePack(store.put(key, value)?.0))
}

/// Takes a grant's name and a key.
#[operation]
fn delete(MessagePack((grant, key)): MessagePack<(&str, &str)>) -> Result<(), Refused> {
    Store::grant(grant).delete(key)
}

/// Takes a grant's name, a prefix and the size of a page; answers all pages of keys.
#[operation]
fn list(MessagePack((grant, prefix, limit)): MessagePack<(&str, &str, u32)>) -> Answer<Vec<Vec<String>>> {
    let pages = Store::grant(grant).list(prefix).limit(limit);
    Ok(MessagePack(pages.map(|page| page.map(|page| page.keys)).collect::<Result<_, _>>()?))
}

/// Takes a grant's name, a key, the revision that it should have, and a value; answers the new revision, or nil after
/// a conflict.
#[operation(name = "compare-and-set")]
fn compare_and_set(
    MessagePack((grant, key, expected, value)): MessagePack<(&str, &str, u64, &Bytes)>,
) -> Answer<Option<u64>> {
    let written = Store::grant(grant).compare_and_set(key, Revision(expected), value)?;
    Ok(MessagePack(written.ok().map(|revision| revision.0)))
}

/// Adds one to the number that a key has as text, also if others do so at the same time. Answers the new number.
#[operation]
fn count(key: &str) -> Result<String, Refused> {
    let store = Store::default();
    loop {
        let entry = store.get(key)?;
        let revision = entry.as_ref().map_or(Revision::ABSENT, |entry| entry.revision);
        let before = entry.and_then(|entry| core::str::from_utf8(&entry.value).ok()?.parse::<u64>().ok());
        let next = (before.unwrap_or_default() + 1).to_string();
        if store.compare_and_set(key, revision, &next)?.is_ok() {
            return Ok(next);
        }
    }
}

/// A method, an address, headers, a body or nil, and a time in milliseconds or nil.
type Fetch<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, Option<&'a Bytes>, Option<u64>);

/// Sends a request; answers the status, the headers and the body.
#[operation]
fn fetch(
    MessagePack((method, url, headers, body, timeout)): MessagePack<Fetch<'_>>,
) -> Answer<(u16, Vec<(String, String)>, ByteBuf)> {
    let mut request = http::Request::new(method, url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    if let Some(body) = body {
        request = request.body(body);
    }
    if let Some(millis) = timeout {
        request = request.timeout(Duration::from_millis(millis));
    }
    let http::Response { status, headers, body, .. } = request.send()?;
    Ok(MessagePack((status, headers, ByteBuf::from(body))))
}

/// Takes a name; answers the value of the configuration, or nil.
#[operation(name = "config")]
fn configured(key: &str) -> Answer<Option<String>> {
    Ok(MessagePack(config::get(key)?))
}

/// Takes a name; answers the secret.
#[operation]
fn secret(key: &str) -> Result<Vec<u8>, Refused> {
    secrets::get(key)
}

/// Logs the payload with its length in bytes, once as information and once as a step.
#[operation]
fn log(message: &str) -> Result<(), Refused> {
    logging::trace(message, &[])?;
    logging::info(message, &[("length", message.len().into()), ("loud", message.ends_with('!').into())])
}

/// Takes the name of a module, an operation of it, and a payload; answers what it answered.
#[operation]
fn call(MessagePack((name, operation, payload)): MessagePack<(&str, &str, &Bytes)>) -> Result<Vec<u8>, Refused> {
    module::call(name, operation, payload)
}

operations![remember, get, put, delete, list, compare_and_set, count, fetch, configured, secret, log, call];
