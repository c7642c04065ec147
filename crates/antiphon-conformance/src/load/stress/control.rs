//! How late deadlines are because of the kernel and the executor alone.
//!
//! Where more threads want to run than there are processors, the kernel makes each of them wait for
//! its turn, and no engine can answer from a thread that does not run. How long a thread waits
//! depends on the machine, the load on it and the kernel, so we measure it. Plain Rust takes the
//! guests' place, as often and with the same deadlines, and reads the clock all the time. A guest
//! may be late by that much and two ticks more.

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

/// How late plain Rust is under the load that the guests met.
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

    /// Adds measurements: `at_once` threads or tasks, each of which waits `rounds` times.
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

    /// Returns by how much a guest may be late.
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

/// Spins until `due`. A task gives way at each tick, for as many polls as a guest, and reads the
/// time when it runs again.
async fn spin(mode: Mode, due: Instant) {
    loop {
        let turn = due.min(Instant::now() + TICK);
        burn(turn);
        if turn >= due {
            return;
        }
        if mode != Mode::Sync {
            let mut polls = 64;
            // Not `tokio::task::yield_now`, which waits until the worker has nothing else to do.
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

/// Uses a processor until this time.
pub(super) fn burn(until: Instant) {
    while Instant::now() < until {
        spin_loop();
    }
}
