//! A call with options, and its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_protocol::Payload;

use super::terms::{Extra, Handles};
use super::{Caller, CancelHandle, Context, Terms};
use crate::time::Deadline;
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
    pub(super) cancel: Option<CancelHandle>,
    pub(crate) caller: Option<Caller>,
    pub(crate) fuel: Option<u64>,
    pub(crate) usage: bool,
    /// When the request's time began to count, if that was before a host got it.
    pub(crate) begun: Option<Begun>,
}

/// When the time of a request began to count, and when it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) deadline: Deadline,
    pub(crate) at: Instant,
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
    ///
    /// A request that has no time left does not begin: with a deadline of zero, what remains of
    /// some caller's own time, it ends as
    /// [`DeadlineExceeded`](crate::errors::ErrorKind::DeadlineExceeded), and the instance is kept.
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

impl Terms {
    /// Returns the terms of a request that has terms of its own. `host` are those of a request
    /// without.
    #[cold]
    pub(crate) fn of_request(options: Options, now: u64, host: Self) -> Self {
        let stop = host.stop().cloned();
        let cancel = options.cancel;
        let mut terms = match (options.begun, options.deadline) {
            (Some(begun), _) => Self { deadline: begun.deadline, ..host },
            (None, None) => host,
            (None, Some(limit)) => Self { deadline: Deadline::of_request(now, limit), ..host },
        };
        let mut extra = Extra {
            handles: Handles { cancel, stop },
            context: options.context,
            behalf: None,
            fuel: options.fuel,
        };
        if let Some(Caller { deadline, link }) = options.caller {
            terms.deadline = terms.deadline.earlier(deadline);
            extra.behalf = Some(link);
        }
        let Extra { handles, context, behalf, fuel } = &extra;
        if handles.cancel.is_some() || context.is_some() || behalf.is_some() || fuel.is_some() {
            terms.extra = Some(Arc::new(extra));
        }
        terms
    }

    /// Returns the terms of a request that has not reached a host yet.
    pub(super) fn of_waiting(deadline: Deadline, options: Option<&Options>) -> Self {
        let cancel = options.and_then(|options| options.cancel.clone());
        let behalf =
            options.and_then(|options| options.caller.as_ref()).map(|caller| Arc::clone(&caller.link));
        let ends_early = cancel.is_some() || behalf.is_some();
        let extra = || Extra { handles: Handles { cancel, stop: None }, behalf, ..Extra::default() };
        Self { deadline, extra: ends_early.then(|| Arc::new(extra())) }
    }
}
