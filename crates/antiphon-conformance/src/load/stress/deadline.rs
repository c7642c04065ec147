//! Deadlines under load: other threads and tasks want the processors too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::{CancelHandle, EngineProviderFactory, Limits, Request};

use super::control::{Control, burn};
use super::lateness::{EARLY, Gaps, Lateness};
use super::place::{Place, Victim};
use super::{figures, scale};
use crate::cases::{ECHO, SPIN};
use crate::suite::{Case, Guest, Job, Mode, Need, Subject, case, pause};
use crate::support::{Failure, Latencies, Milliseconds, Others, runtime, slack};

pub(super) const CASES: &[Case] = &[
    case!(deadline::beside_a_hog_a_thousand_calls_are_answered).only(MODES).needs(NEEDS),
    case!(deadline::with_every_worker_busy_deadlines_hold).only(MODES).needs(NEEDS),
    case!(deadline::two_hundred_engines_keep_theirs).only(MODES).needs(NEEDS),
];

/// `Mode::Straight` is left out: its guests keep the executor's thread until their deadline by
/// design.
pub(super) const MODES: &[Mode] = &[Mode::Sync, Mode::Async];
pub(super) const NEEDS: &[Need] = &[Need::Deadline, Need::Suspend];

/// The deadline of every guest that gets stuck.
pub(super) const DEADLINE: Duration = Duration::from_millis(30);

/// How many guests get stuck at once, how often each, and on how many of the engines.
#[derive(Clone, Copy)]
pub(super) struct Crowd {
    pub(super) at_once: usize,
    pub(super) rounds: usize,
    /// The crowd is spread over them. The other engines only tick.
    pub(super) engines: usize,
}

/// The most parts that a place is measured in. A moment's disturbance spoils one part; a bug shows
/// in all of them.
const PARTS: usize = 5;

/// Lets guests get stuck in each place, and compares their lateness with that of plain Rust in an
/// equal crowd.
///
/// Guests and plain Rust are measured in turns, part by part, until the guests' p99 is within what
/// plain Rust allows. Where other processes use the processors at the time, the suite's slack is
/// added: their load varies, so plain Rust may have met less of it than the guests. There are
/// `engines` engines. `beside` gets the first one's factory; what it returns lives until the end of
/// the part.
pub(super) fn hold<B>(
    subject: &Subject,
    engines: usize,
    crowd: Crowd,
    beside: impl Fn(&Arc<dyn EngineProviderFactory>) -> B,
) {
    let mut control = Control::new();
    for place in Place::ALL {
        let module = place.module();
        let factories: Vec<_> = (0..engines).map(|_| subject.factory(&module).unwrap()).collect();
        let (mut lateness, mut longest) = (Lateness::new(), Duration::ZERO);
        for part in 1.. {
            let (others, started) = (Others::watch(), Instant::now());
            let (more, gap) = {
                let _beside = beside(&factories[0]);
                stick(subject, &factories[..crowd.engines], crowd, place)
            };
            let took = started.elapsed();
            {
                let _beside = beside(&factories[0]);
                // About as long as the guests took.
                let rounds = took.div_duration_f32(DEADLINE * 2).ceil() as usize;
                control.measure(subject.mode(), crowd.at_once, rounds, DEADLINE);
            }
            lateness.add(&more);
            longest = longest.max(gap);
            let disturbed = others.had();
            let slack = if disturbed > Others::DISTURB { slack() } else { Duration::ZERO };
            let allowed = control.allows() + slack;
            let holds = lateness.late.at(0.99) <= allowed;
            if holds || part == PARTS {
                figures(format_args!(
                    "{}: {lateness}; {control}; ticks {} apart at most; others had {disturbed:.2} processors",
                    place.name(),
                    Milliseconds(longest),
                ));
            }
            assert!(lateness.earliest <= EARLY, "{}: earlier than {EARLY:?}: {lateness}", place.name());
            if holds {
                break;
            }
            assert!(part < PARTS, "{}: p99 is over {allowed:?}: {lateness}", place.name());
        }
    }
}

/// Lets guests get stuck in one place. Also returns the longest time between two ticks.
fn stick(
    subject: &Subject,
    factories: &[Arc<dyn EngineProviderFactory>],
    crowd: Crowd,
    place: Place,
) -> (Lateness, Duration) {
    let gaps = Gaps::watch();
    let jobs: Vec<_> = (0..crowd.at_once)
        .map(|number| {
            let own = factories.iter().cycle().skip(number).step_by(crowd.at_once);
            let own = own.take(factories.len().div_ceil(crowd.at_once));
            let mut victims: Vec<_> =
                own.map(|factory| Victim::new(subject, factory, place, DEADLINE)).collect();
            Job::start(subject.mode(), async move {
                let mut lateness = Lateness::new();
                for victim in &mut victims {
                    for _ in 0..crowd.rounds {
                        let (due, ended) = victim.stick().await;
                        lateness.record(due, ended);
                    }
                }
                lateness
            })
        })
        .collect();
    let mut lateness = Lateness::new();
    for job in jobs {
        lateness.add(&job.join());
    }
    (lateness, gaps.longest())
}

/// One guest gets stuck again and again, on the engine of the innocent calls.
fn beside_a_hog_a_thousand_calls_are_answered(subject: &Subject) {
    let crowd = Crowd { at_once: 1, rounds: 20 * scale(), engines: 1 };
    hold(subject, 1, crowd, |factory| Innocents::start(subject, factory, DEADLINE * crowd.rounds as u32));
}

/// A thousand calls over a span of time, by four callers with a host each. The drop checks that all
/// were answered.
struct Innocents(Vec<Job<Latencies>>);

impl Innocents {
    const CALLERS: usize = 4;
    const CALLS: usize = 1_000;

    fn start(subject: &Subject, factory: &Arc<dyn EngineProviderFactory>, over: Duration) -> Self {
        let module = Guest::new(ECHO).module.bytes;
        let factory = factory.with_module(&module).expect("another module on the same engine");
        let calls = Self::CALLS / Self::CALLERS;
        let job = |caller: usize| {
            let (subject, factory) = (subject.clone(), Arc::clone(&factory));
            Job::start(subject.mode(), async move {
                let guest = Guest::binary(Vec::new()).host_limits(Limits::new());
                let host = subject.start_later(&*factory, guest).await.expect("a guest that starts");
                let mut latencies = Latencies::new();
                for call in 0..calls {
                    pause(subject.mode(), over / calls as u32 * 9 / 10).await;
                    let payload = format!("caller {caller}, call {call}");
                    let started = Instant::now();
                    let answer = host.call_later(Request::new("echo", payload.as_bytes())).await;
                    latencies.record(started.elapsed());
                    assert_eq!(answer.expect("an innocent call").payload, payload.as_bytes());
                }
                latencies
            })
        };
        Self((0..Self::CALLERS).map(job).collect())
    }
}

impl Drop for Innocents {
    fn drop(&mut self) {
        let mut latencies = Latencies::new();
        for job in self.0.drain(..) {
            latencies.add(&job.join());
        }
        if !thread::panicking() {
            assert_eq!(latencies.count() as usize, Self::CALLS);
            figures(format_args!("beside it {} calls answered, {latencies}", latencies.count()));
        }
    }
}

/// As many guests as the executor has workers spin beside the two that are measured, and as many
/// threads block and burn.
fn with_every_worker_busy_deadlines_hold(subject: &Subject) {
    let crowd = Crowd { at_once: 2, rounds: 10 * scale(), engines: 1 };
    hold(subject, 1, crowd, |_| Busy::start(subject));
}

/// Keeps every worker of the executor busy until it is dropped. In the synchronous mode it keeps as
/// many threads busy.
struct Busy {
    cancel: CancelHandle,
    stop: Arc<AtomicBool>,
    guests: Vec<Job<()>>,
}

impl Busy {
    fn start(subject: &Subject) -> Self {
        let (cancel, stop) = (CancelHandle::new(), Arc::new(AtomicBool::new(false)));
        let workers = runtime().metrics().num_workers();
        let endless = Limits::new().deadline(Duration::MAX);
        let factory = subject.factory(&Guest::new(SPIN)).expect("a guest");
        let guests = (0..workers)
            .map(|_| {
                let (subject, factory) = (subject.clone(), Arc::clone(&factory));
                let cancel = cancel.clone();
                Job::start(subject.mode(), async move {
                    let guest = Guest::binary(Vec::new()).host_limits(endless);
                    let host = subject.start_later(&*factory, guest).await.expect("a guest that starts");
                    let ended = host.call_later(Request::new("run", b"").cancel(cancel)).await;
                    Failure::CANCELLED.check(&ended.expect_err("a guest that spins"));
                })
            })
            .collect();
        for _ in 0..workers {
            let stop = Arc::clone(&stop);
            // In the asynchronous mode this thread of tokio's stands for work that blocks.
            runtime().spawn_blocking(move || {
                while !stop.load(Ordering::Relaxed) {
                    burn(Instant::now() + Duration::from_millis(10));
                    thread::sleep(Duration::from_millis(10));
                }
            });
        }
        Self { cancel, stop, guests }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.cancel.cancel();
        for guest in self.guests.drain(..) {
            guest.join();
        }
    }
}

/// All engines tick at once, and sixteen guests at a time are stuck: at a scale of 1 on 112 of the
/// engines, which makes the p99 of their lateness the second longest.
fn two_hundred_engines_keep_theirs(subject: &Subject) {
    let engines = (112 * scale()).min(200);
    hold(subject, 200, Crowd { at_once: 16, rounds: scale().div_ceil(4), engines }, |_| ());
}
