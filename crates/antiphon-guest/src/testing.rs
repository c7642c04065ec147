//! A minimal host for `cargo test`, which runs a guest's operations on the developer's machine
//! without an engine.
//!
//! Every thread has its own host, so that tests do not affect each other. The module exists on
//! every target except wasm32.
//!
//! ```
//! use antiphon_guest::{host_call, operation, operations, testing};
//!
//! #[operation]
//! fn price(article: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
//!     let cents = host_call("shop", "prices", "look-up", article.as_bytes())?;
//!     Ok(format!("{} ct", String::from_utf8(cents)?))
//! }
//!
//! operations![price];
//!
//! wapc_init();
//! testing::on_host_call(|call| match (call.operation, call.payload) {
//!     ("look-up", b"tea") => Ok(b"250".to_vec()),
//!     _ => Err("no such article".to_owned()),
//! });
//! assert_eq!(testing::call("price", b"tea").unwrap(), b"250 ct");
//! assert_eq!(testing::call("price", b"coal").unwrap_err(), "Host error: no such article");
//! ```

use std::borrow::ToOwned;
use std::boxed::Box;
use std::cell::RefCell;
use std::string::String;
use std::vec::Vec;

use crate::imports::Target;
use crate::state::AREA;

/// A host call that the guest makes.
#[derive(Clone, Copy, Debug)]
pub struct HostCall<'a> {
    /// The binding.
    pub binding: &'a str,
    /// The namespace.
    pub namespace: &'a str,
    /// The operation.
    pub operation: &'a str,
    /// The payload.
    pub payload: &'a [u8],
}

type Handler = Box<dyn FnMut(HostCall<'_>) -> Result<Vec<u8>, String>>;

/// What the guest has sent, and what the host answers.
#[derive(Default)]
struct Host {
    request: (Vec<u8>, Vec<u8>),
    response: Option<Vec<u8>>,
    error: Option<Vec<u8>>,
    answer: Vec<u8>,
    log: Vec<String>,
}

std::thread_local! {
    static HOST: RefCell<Host> = RefCell::new(Host::default());
    static HANDLER: RefCell<Option<Handler>> = const { RefCell::new(None) };
}

/// Calls an operation of this thread's guest, as a host does.
///
/// # Errors
///
/// The guest's error text.
pub fn call(operation: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
    call_bytes(operation.as_bytes(), payload)
}

/// Calls as [`call`] does, with a name that does not have to be UTF-8.
pub(crate) fn call_bytes(operation: &[u8], payload: &[u8]) -> Result<Vec<u8>, String> {
    let before = HOST.with_borrow_mut(|host| {
        let fresh = Host { request: (operation.to_owned(), payload.to_owned()), ..Host::default() };
        let before = std::mem::replace(host, fresh);
        host.log.clone_from(&before.log);
        before
    });
    let answered = AREA.with(|area| area.serve(operation.len(), payload.len()));
    let after = HOST.with_borrow_mut(|host| {
        // Restores the state of an outer call, which is still running.
        let log = std::mem::take(&mut host.log);
        std::mem::replace(host, Host { log, ..before })
    });
    match (answered, after.response, after.error) {
        (true, Some(response), _) => Ok(response),
        (_, _, Some(error)) => Err(String::from_utf8_lossy(&error).into_owned()),
        _ => Err("the guest set neither an answer nor an error".to_owned()),
    }
}

/// Sets the handler of this thread that answers host calls. Without a handler they fail.
pub fn on_host_call(handler: impl FnMut(HostCall<'_>) -> Result<Vec<u8>, String> + 'static) {
    HANDLER.set(Some(Box::new(handler)));
}

/// Returns and removes the lines that the guest has logged on this thread.
#[must_use]
pub fn take_log() -> Vec<String> {
    HOST.with_borrow_mut(|host| std::mem::take(&mut host.log))
}

pub(crate) fn guest_request(name: &mut [u8], payload: &mut [u8]) {
    HOST.with_borrow(|host| {
        for (to, from) in [(name, &host.request.0), (payload, &host.request.1)] {
            if let Some(to) = to.get_mut(..from.len()) {
                to.copy_from_slice(from);
            }
        }
    });
}

pub(crate) fn guest_response(bytes: &[u8]) {
    HOST.with_borrow_mut(|host| host.response = Some(bytes.to_owned()));
}

pub(crate) fn guest_error(text: &[u8]) {
    HOST.with_borrow_mut(|host| host.error = Some(text.to_owned()));
}

pub(crate) fn log(text: &[u8]) {
    HOST.with_borrow_mut(|host| host.log.push(String::from_utf8_lossy(text).into_owned()));
}

pub(crate) fn host_call(target: Target<'_>, payload: &[u8]) -> bool {
    let Target { binding, namespace, operation } = target;
    // Taken out of its cell while it runs, because it may call the guest, which may call the host
    // again.
    let Some(mut handler) = HANDLER.take() else {
        HOST.with_borrow_mut(|host| host.answer = b"Missing host callback function!".to_vec());
        return false;
    };
    let answer = handler(HostCall { binding, namespace, operation, payload });
    HANDLER.with_borrow_mut(|slot| {
        slot.get_or_insert(handler);
    });
    let answered = answer.is_ok();
    HOST.with_borrow_mut(|host| host.answer = answer.unwrap_or_else(String::into_bytes));
    answered
}

pub(crate) fn host_answer(_answered: bool) -> Vec<u8> {
    HOST.with_borrow_mut(|host| std::mem::take(&mut host.answer))
}
