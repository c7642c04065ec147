//! What the kernel and the executor alone make of a deadline.
//!
//! Where more threads want to run than there are processors, the kernel lets each of them wait for its turn, and no
//! engine can answer from a thread that does not run. How long that is depends on the machine, its neighbours and the
//! kernel. So it is measured: plain Rust in the place of the guests, just as many, with deadlines just as long, which
//! looks at the clock all the time. A guest may be as late as that and two ticks more.

use std::fmt;
use std::future::poll_fn;
use std::hint::spin_loop;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use antiphon::ticker::TICK;

use super::lateness::Lateness;
use crate::suite::{Job, Mode};
use crate::support::Milliseconds;

/// How late plain Rust is under the same load.
pub(super) struct Control {
    /// Threads or tasks that spin until their deadline, as guests do.
    spinning: Lateness,
    /// A thread that sleeps from tick to tick, as the ticker does.
    sleeping: Lateness,
}

impl Control {
    pub(super) fn new() -> Self {
        Self { spinning: Lateness::new(), sleeping: Lateness::new() }
    }

    /// Measures on, with so many at once that each wait so often.
    pub(super) fn measure(&mut self, mode: Mode, at_once: usize, rounds: usize, deadline: Duration) {
        let sleeper = thread::spawn(move || {
            let mut sleeping = Lateness::new();
            let end = Instant::now() + deadline * rounds as u32;
            while Instant::now() < end {
                let due = Instant::now() + TICK;
                thread::sleep(TICK);
                sleeping.record(due, Instant::now());
            }
            sleeping
        });
        let spinners: Vec<_> = (0..at_once)
            .map(|_| {
                Job::start(mode, async move {
                    let mut spinning = Lateness::new();
                    for _ in 0..rounds {
                        let due = Instant::now() + deadline;
                        spin(mode, due).await;
                        spinning.record(due, Instant::now());
                    }
                    spinning
                })
            })
            .collect();
        for spinner in spinners {
            self.spinning.add(&spinner.join());
        }
        self.sleeping.add(&sleeper.join().expect("the sleeper"));
    }

    /// By how much a guest may be late.
    pub(super) fn allows(&self) -> Duration {
        TICK * 2 + self.spinning.late.max() + self.sleeping.late.max()
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [spinning, sleeping] = [&self.spinning, &self.sleeping].map(|of| Milliseconds(of.late.max()));
        write!(f, "plain Rust by {spinning} spinning and {sleeping} asleep")
    }
}

/// Spins; a task gives way at each tick, for as many polls as a guest, and looks at the time when it comes back.
async fn spin(mode: Mode, due: Instant) {
    loop {
        let turn = due.min(Instant::now() + TICK);
        burn(turn);
        if turn >= due {
            return;
        }
        if mode != Mode::Sync {
            let mut polls = 64;
            // Not tokio's own yield, which waits until the worker has nothing else to do.
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                polls -= 1;
                if polls == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            if Instant::now() >= due {
                return;
            }
        }
    }
}

/// Uses a processor until then.
pub(super) fn burn(until: Instant) {
    while Instant::now() < until {
        spin_loop();
    }
}
