//! A call with options, and its answer.

use std::time::Duration;

use antiphon_protocol::Payload;

use crate::cancel::CancelHandle;
use crate::context::Context;
use crate::queueing::Begun;
use crate::terms::Caller;
use crate::usage::Usage;

/// A call: an operation, a payload, and options.
///
/// ```
/// use antiphon::{Request, WapcHost, testing::TestEngine};
/// use std::time::Duration;
///
/// let host = WapcHost::new(Box::new(TestEngine::new().operation("echo", |payload| Ok(payload.to_vec()))), None)?;
/// let request = Request::new("echo", vec![1, 2, 3]).deadline(Duration::from_millis(100)).usage(true);
/// let response = host.call_with(request)?;
/// assert_eq!(response.payload, [1, 2, 3]);
/// assert_eq!(response.usage.unwrap().bytes_out, 3);
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a request does nothing until a host is called with it"]
pub struct Request<'a> {
    pub(crate) operation: &'a str,
    pub(crate) payload: Payload<'a>,
    /// Boxed, so that moving a call without options moves three words instead of twenty.
    pub(crate) options: Option<Box<Options>>,
}

/// What a request asks for beyond an operation and a payload.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) deadline: Option<Duration>,
    pub(crate) context: Option<Context>,
    pub(crate) cancel: Option<CancelHandle>,
    pub(crate) caller: Option<Caller>,
    pub(crate) fuel: Option<u64>,
    pub(crate) usage: bool,
    /// When the request's time began to count, if that was before a host got it.
    pub(crate) begun: Option<Begun>,
}

impl<'a> Request<'a> {
    /// Creates a call with the host's own limits.
    ///
    /// An owned payload (`Vec<u8>`, `Bytes`) is moved. A borrowed payload of at most 512 bytes is
    /// copied once; the guest copies a larger one from where it lies.
    #[inline]
    pub fn new(operation: &'a str, payload: impl Into<Payload<'a>>) -> Self {
        Self { operation, payload: payload.into(), options: None }
    }

    /// Sets the call's deadline instead of the host's. The time counts from when the host gets the
    /// request, or from [`begin`](Self::begin) if that came first, and includes waiting in queues.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options().deadline = Some(deadline);
        self
    }

    /// Gives values to the host's handlers of this call.
    pub fn context(mut self, context: Context) -> Self {
        self.options().context = Some(context);
        self
    }

    /// Lets the handle end the call.
    pub fn cancel(mut self, cancel: CancelHandle) -> Self {
        self.options().cancel = Some(cancel);
        self
    }

    /// Makes the call on behalf of another call, whose handler is running: see [`Caller`].
    pub fn caller(mut self, caller: Caller) -> Self {
        self.options().caller = Some(caller);
        self
    }

    /// Limits the fuel that the guest may burn in this call. Where the host or the provider limits
    /// it too, the smallest limit holds. [`Usage::fuel_left`] says what remained.
    ///
    /// An engine that does not count fuel ([`Capabilities::fuel`](crate::Capabilities::fuel))
    /// refuses the call as [`Unsupported`](crate::errors::ErrorKind::Unsupported).
    pub fn fuel(mut self, units: u64) -> Self {
        self.options().fuel = Some(units);
        self
    }

    /// Returns the operation.
    #[must_use]
    pub fn operation(&self) -> &'a str {
        self.operation
    }

    pub(crate) fn options(&mut self) -> &mut Options {
        self.options.get_or_insert_default()
    }

    /// Sets whether the host measures what the call uses.
    pub fn usage(mut self, usage: bool) -> Self {
        self.options().usage = usage;
        self
    }
}

/// The answer of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The bytes that the guest answered.
    pub payload: Vec<u8>,
    /// What the call used, if its request asked.
    pub usage: Option<Usage>,
}
