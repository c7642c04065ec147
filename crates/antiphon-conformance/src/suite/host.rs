//! A host of either kind, behind one interface.

use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::{Error, Fate};
use antiphon::{Isolation, Request, Response, WapcHost, WapcHostAsync};

use crate::support::{Failure, runtime};

/// A started host. Its blocking methods run on any thread that drives no runtime. A handler uses
/// the `_later` methods instead.
#[derive(Clone)]
pub(crate) enum Host {
    Sync(Arc<WapcHost>),
    Async(Arc<WapcHostAsync>),
}

/// The operation that the suite's guests answer with the number of calls of their instance.
const COUNT: &str = "#";

impl Host {
    pub(crate) fn id(&self) -> u64 {
        match self {
            Self::Sync(host) => host.id(),
            Self::Async(host) => host.id(),
        }
    }

    /// Returns whether each call has an instance of its own.
    fn is_isolated(&self) -> bool {
        let isolation = match self {
            Self::Sync(host) => host.isolation(),
            Self::Async(host) => host.isolation(),
        };
        isolation == Isolation::PerCall
    }

    pub(crate) fn isolation(&self) -> Isolation {
        match self {
            Self::Sync(host) => host.isolation(),
            Self::Async(host) => host.isolation(),
        }
    }

    pub(crate) fn call(&self, op: &str, payload: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Sync(host) => host.call(op, payload),
            Self::Async(host) => runtime().block_on(host.call(op, payload)),
        }
    }

    pub(crate) fn call_with(&self, request: Request<'_>) -> Result<Response, Error> {
        match self {
            Self::Sync(host) => host.call_with(request),
            Self::Async(host) => runtime().block_on(host.call_with(request)),
        }
    }

    pub(crate) fn call_into(&self, op: &str, payload: &[u8], answer: &mut Vec<u8>) -> Result<usize, Error> {
        match self {
            Self::Sync(host) => host.call_into(op, payload, answer),
            Self::Async(host) => runtime().block_on(host.call_into(op, payload, answer)),
        }
    }

    pub(crate) fn replace(&self, module: &[u8]) -> Result<(), Error> {
        match self {
            Self::Sync(host) => host.replace_module(module),
            Self::Async(host) => runtime().block_on(host.replace_module(module)),
        }
    }

    /// Calls from inside a handler. In the synchronous mode this blocks.
    pub(crate) async fn call_later(&self, request: Request<'_>) -> Result<Response, Error> {
        match self {
            Self::Sync(host) => host.call_with(request),
            Self::Async(host) => host.call_with(request).await,
        }
    }

    /// Replaces the module from inside a handler.
    pub(crate) async fn replace_later(&self, module: &[u8]) -> Result<(), Error> {
        match self {
            Self::Sync(host) => host.replace_module(module),
            Self::Async(host) => host.replace_module(module).await,
        }
    }

    /// Makes a call that must succeed.
    #[track_caller]
    pub(crate) fn answer(&self, op: &str, payload: &[u8]) -> Vec<u8> {
        match self.call(op, payload) {
            Ok(answer) => answer,
            Err(error) => panic!("{op} failed: {error:#?}"),
        }
    }

    /// Makes a call that must succeed and answer with four bytes.
    #[track_caller]
    pub(crate) fn number(&self, op: &str, payload: &[u8]) -> i32 {
        let answer = self.answer(op, payload);
        i32::from_le_bytes(answer.as_slice().try_into().expect("an answer of four bytes"))
    }

    /// Makes a call that must succeed; returns its answer and the fuel that it burnt.
    #[track_caller]
    pub(crate) fn burns(&self, op: &str, payload: &[u8]) -> (Vec<u8>, u64) {
        match self.call_with(Request::new(op, payload).usage(true)) {
            Ok(Response { payload, usage, .. }) => {
                let usage = usage.expect("the usage that was asked for");
                (payload, usage.fuel.unwrap_or_else(|| panic!("{op}: no fuel in {usage:?}")))
            }
            Err(error) => panic!("{op} failed: {error:#?}"),
        }
    }

    /// Returns how many calls the instance has had, this one included: 1 for a fresh one.
    #[track_caller]
    pub(crate) fn count(&self) -> i32 {
        self.number(COUNT, b"")
    }

    /// Expects that the instance has had `calls` calls; where each call has an instance of its own,
    /// one.
    #[track_caller]
    pub(crate) fn counted(&self, calls: i32) {
        let due = if self.is_isolated() { 1 } else { calls };
        assert_eq!(self.count(), due, "calls that the instance has had");
    }

    /// Counts like [`count`](Self::count), with a deadline that is long enough for a rebuild: an
    /// engine that zeroes a large memory at a start takes tens of milliseconds.
    #[track_caller]
    pub(crate) fn count_at_leisure(&self) -> i32 {
        match self.call_with(Request::new(COUNT, b"").deadline(Duration::from_secs(60))) {
            Ok(answer) => i32::from_le_bytes(answer.payload.as_slice().try_into().expect("four bytes")),
            Err(error) => panic!("the count failed: {error:#?}"),
        }
    }

    /// Makes a call that must fail as expected. The count of calls proves the instance's fate.
    #[track_caller]
    pub(crate) fn fails(&self, op: &str, payload: &[u8], expected: Failure) -> Error {
        self.fails_with(Request::new(op, payload), expected)
    }

    /// Makes a call like that of [`fails`](Self::fails), with options.
    #[track_caller]
    pub(crate) fn fails_with(&self, request: Request<'_>, expected: Failure) -> Error {
        let before = self.count();
        let error = match self.call_with(request) {
            Ok(response) => panic!("answered {response:?}, expected {expected:?}"),
            Err(error) => error,
        };
        expected.check(&error);
        let after = match expected.fate {
            _ if self.is_isolated() => 1,
            Fate::Kept if expected.entered => before + 2,
            Fate::Kept => before + 1,
            _ => 1,
        };
        assert_eq!(self.count(), after, "the count of calls shows another fate than {:?}", expected.fate);
        error
    }
}
