//! A caller, and its checks of each call.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{CancelHandle, Context, Request};
use fastrand::Rng;

use super::canary::{Canary, Text};
use super::kind::{Kind, Mix};
use super::site::Site;
use crate::load::Callee;
use crate::suite::Mode;

/// The deadline of a call that loops.
const LOOP: Duration = Duration::from_millis(20);

/// A caller whose order of calls depends only on the seed.
#[derive(Debug)]
pub(crate) struct Caller {
    random: Rng,
    number: u64,
    calls: u64,
}

impl Caller {
    /// Creates a caller. `number` must differ from that of every other caller of the process.
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        let number = number as u64;
        Self { random: Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)), number, calls: 0 }
    }

    pub(crate) fn draw(&mut self, mix: Mix) -> Kind {
        mix.draw(&mut self.random)
    }

    /// Makes a call.
    ///
    /// # Errors
    /// The outcome was not the right one, or contained bytes of another call.
    pub(crate) async fn call(&mut self, site: &Site, kind: Kind) -> Result<(), String> {
        self.calls += 1;
        // The factor is odd, so no two calls get equal canaries.
        let canary = Canary(((self.number << 40) | self.calls).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let operation = canary.operation(kind.letter());
        self.run(site, kind, canary, &operation)
            .await
            .map_err(|why| format!("{} as {operation}: {why}", kind.name()))
    }

    async fn run(&mut self, site: &Site, kind: Kind, canary: Canary, op: &str) -> Result<(), String> {
        let sent = canary.text(Text::Request);
        let request = || Request::new(op, &sent[..]);
        let (callee, context) = (&*site.callee, || Context::new().with(canary));
        match kind {
            Kind::Echo => answered(callee.call(op, &sent).await, canary, Text::Request),
            Kind::Log => {
                answered(callee.call(op, &sent).await, canary, Text::Request)?;
                site.logged.fetch_add(1, Ordering::Relaxed);
                site.check_log()
            }
            Kind::Relay => {
                // Calls with and without a context take different paths.
                let request = if canary.0 & 2 == 0 { request() } else { request().context(context()) };
                answered(call_with(callee, request).await, canary, Text::Answer)
            }
            Kind::Fail => {
                failed_with(callee.call(op, &sent).await, canary, ErrorKind::GuestFailed, Some(&sent))
            }
            Kind::Trap => failed_with(callee.call(op, &sent).await, canary, ErrorKind::Trapped, Some(&sent)),
            Kind::Bomb => failed_with(callee.call(op, &sent).await, canary, ErrorKind::MemoryLimit, None),
            Kind::Loop => {
                let ended = call_with(callee, request().deadline(LOOP)).await;
                failed_with(ended, canary, ErrorKind::DeadlineExceeded, None)
            }
            Kind::CancelWaiting | Kind::CancelLooping => {
                let cancel = CancelHandle::new();
                let request = request().context(context().with(cancel.clone())).cancel(cancel);
                failed_with(call_with(callee, request).await, canary, ErrorKind::Cancelled, None)
            }
            Kind::CancelBefore => {
                let cancel = CancelHandle::new();
                cancel.cancel();
                failed_with(
                    call_with(callee, request().cancel(cancel)).await,
                    canary,
                    ErrorKind::Cancelled,
                    None,
                )
            }
            // On a synchronous host the first poll blocks until the call's end, so nothing is left
            // to drop.
            Kind::Drop if site.mode == Mode::Sync => {
                answered(call_with(callee, request().context(context())).await, canary, Text::Answer)
            }
            Kind::Drop => {
                let polls = self.random.usize(1..=4);
                match polled(polls, call_with(callee, request().context(context()))).await {
                    Some(ended) => answered(ended, canary, Text::Answer),
                    None => Ok(()),
                }
            }
            Kind::Replace => callee.replace(&site.module).await.map_err(|error| format!("{error:#?}")),
            Kind::ReplaceBadly => {
                let (module, cause) = match self.random.bool() {
                    true => (&site.module[..site.module.len() / 2], ErrorKind::InvalidModule),
                    false => (&site.trapping[..], ErrorKind::InitFailed),
                };
                match callee.replace(module).await {
                    Ok(()) => Err("a bad module was accepted".into()),
                    Err(error) => {
                        is_kind(&error, ErrorKind::ReplaceFailed)?;
                        is_kind(crate::support::cause(&error), cause)
                    }
                }
            }
        }
    }
}

async fn call_with(callee: &dyn Callee, request: Request<'_>) -> Result<Vec<u8>, Error> {
    callee.call_with(request).await.map(|answer| answer.payload)
}

/// Polls a future at most `polls` times, each time that it wakes its task, then drops it.
async fn polled<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

fn answered(ended: Result<Vec<u8>, Error>, canary: Canary, which: Text) -> Result<(), String> {
    let answer = ended.map_err(|error| format!("{error:#?}"))?;
    if answer == canary.text(which) {
        return Ok(());
    }
    Err(format!("another answer: {}", String::from_utf8_lossy(&answer)))
}

/// Expects an error of a kind, the guest's text if it set one, and no mark of another call in any
/// of its texts.
fn failed_with(
    ended: Result<Vec<u8>, Error>,
    canary: Canary,
    kind: ErrorKind,
    guest_error: Option<&[u8]>,
) -> Result<(), String> {
    let error = match ended {
        Ok(answer) => return Err(format!("answered: {}", String::from_utf8_lossy(&answer))),
        Err(error) => error,
    };
    is_kind(&error, kind)?;
    let whole = format!("{error} {error:#?}");
    if error.guest_error().map(str::as_bytes) != guest_error || !canary.is_alone_in(&whole) {
        return Err(format!("the text of another call: {whole}"));
    }
    Ok(())
}

fn is_kind(error: &Error, kind: ErrorKind) -> Result<(), String> {
    if error.kind() == kind { Ok(()) } else { Err(format!("not {kind}: {error:#?}")) }
}
