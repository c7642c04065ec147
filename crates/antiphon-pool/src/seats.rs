//! The calls that run: which host each is in, and how to end them all.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use antiphon::Request;
use antiphon::errors::{Error, ErrorKind};

/// A seat for the call in each place of the pool.
pub(crate) struct Seats {
    seats: Box<[Seat]>,
    /// Set when the calls that still run have to end.
    cut: AtomicBool,
}

#[repr(align(128))]
#[derive(Default)]
struct Seat {
    /// The host of the instance that ran the last call here.
    host: AtomicU64,
    /// Whether a waker was left.
    waits: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Seat {
    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    pub(crate) fn new(places: usize) -> Self {
        Self { seats: (0..places).map(|_| Seat::default()).collect(), cut: AtomicBool::new(false) }
    }

    /// A call begins in a place.
    #[inline]
    pub(crate) fn begin(&self, place: usize, host: u64) {
        if let Some(seat) = self.seats.get(place)
            && seat.host.load(Ordering::Relaxed) != host
        {
            seat.host.store(host, Ordering::Relaxed);
        }
    }

    /// A call is pending: it goes on, unless all have to end. The waker is woken when they do.
    pub(crate) fn wait(&self, place: usize, cx: &Context<'_>) -> Poll<Error> {
        let Some(seat) = self.seats.get(place) else { return Poll::Pending };
        let mut waker = seat.waker();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            let old = waker.replace(cx.waker().clone());
            drop(waker);
            drop(old);
        } else {
            drop(waker);
        }
        seat.waits.store(true, Ordering::Relaxed);
        // After the waker was left: whoever sets this wakes it after that.
        if self.cut.load(Ordering::SeqCst) {
            let what = "the pool was drained: the call was cut off at the end of the grace";
            return Poll::Ready(Error::new(ErrorKind::Cancelled, what));
        }
        Poll::Pending
    }

    /// A call has ended: its waker keeps nothing alive.
    #[inline]
    pub(crate) fn end(&self, place: usize) {
        if let Some(seat) = self.seats.get(place)
            && seat.waits.load(Ordering::Relaxed)
        {
            seat.waits.store(false, Ordering::Relaxed);
            let waker = seat.waker().take();
            drop(waker);
        }
    }

    /// Ends the calls that run.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for seat in &self.seats {
            let waker = seat.waker().clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Whether every place is taken by a call that waits, in a handler, for this request.
    pub(crate) fn all_wait_for(&self, request: &Request<'_>) -> bool {
        self.seats.iter().all(|seat| match seat.host.load(Ordering::Relaxed) {
            0 => false,
            host => request.is_awaited_by(host),
        })
    }
}
