//! The callers, and the thread that watches them.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::verdict::{Sample, Verdict, Window};
use crate::load::traffic::{Caller, Kind, Mix, Site};
use crate::suite::{Job, Mode};
use crate::support::{Latencies, Others, lock, runtime};

/// Windows of a run. The first window is the warm-up.
const WINDOWS: u32 = 10;

/// The shortest time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);

/// Of a hundred calls 94 are good ones.
const MIX: Mix = Mix(&[
    (Kind::Echo, 4_700),
    (Kind::Relay, 3_500),
    (Kind::Log, 1_200),
    (Kind::Fail, 120),
    (Kind::Trap, 150),
    (Kind::Bomb, 80),
    (Kind::Drop, 80),
    (Kind::CancelBefore, 50),
    (Kind::CancelWaiting, 70),
    (Kind::CancelLooping, 15),
    (Kind::Loop, 25),
    (Kind::Replace, 8),
    (Kind::ReplaceBadly, 2),
]);

/// What the callers report to the watching thread.
struct Shared {
    stop: AtomicBool,
    counts: [AtomicU64; Kind::ALL.len()],
    /// Latencies of good calls since the watching thread last took them.
    latencies: Mutex<Latencies>,
    /// Calls with a wrong outcome: descriptions of the first few, and the number of all.
    unexpected: Mutex<(Vec<String>, u64)>,
}

/// How many descriptions of them are kept and printed.
const KEPT: usize = 10;

impl Shared {
    fn new() -> Self {
        let counts = [const { AtomicU64::new(0) }; Kind::ALL.len()];
        let (stop, latencies) = (AtomicBool::new(false), Mutex::new(Latencies::new()));
        Self { stop, counts, latencies, unexpected: Mutex::default() }
    }

    fn unexpected(&self, why: String) {
        let mut unexpected = lock(&self.unexpected);
        unexpected.1 += 1;
        if unexpected.0.len() < KEPT {
            println!("UNEXPECTED: {why}");
            unexpected.0.push(why);
        }
    }

    fn calls(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// A site, and its callers: a thread or a task for each mode in `callers`.
pub(super) struct Post {
    pub(super) site: Arc<Site>,
    pub(super) callers: Vec<Mode>,
}

/// Calls at all posts for `time`.
pub(super) fn run(posts: &[Post], time: Duration, seed: u64) -> Verdict {
    let shared = Arc::new(Shared::new());
    let callers = posts.iter().flat_map(|post| post.callers.iter().map(|mode| (*mode, &post.site)));
    let callers: Vec<_> = callers
        .enumerate()
        .map(|(number, (mode, site))| {
            let (site, shared) = (Arc::clone(site), Arc::clone(&shared));
            Job::start(mode, call_until_stopped(site, shared, Caller::new(seed, number)))
        })
        .collect();

    let started = Instant::now();
    let mut verdict = Verdict::new(time);
    for window in 1..=WINDOWS {
        let end = started + time * window / WINDOWS;
        let (mut latencies, others) = (Latencies::new(), Others::watch());
        while Instant::now() < end {
            thread::sleep(PROGRESS.min(end.saturating_duration_since(Instant::now())));
            let passed = {
                let mut recent = lock(&shared.latencies);
                std::mem::replace(&mut *recent, Latencies::new())
            };
            let sample = Sample::now(started);
            println!("{sample}, {} calls; good ones {passed}", shared.calls());
            verdict.samples.extend(sample.memory.is_some().then_some(sample));
            latencies.add(&passed);
        }
        verdict.windows.push(Window { latencies, others: others.had() });
    }

    shared.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join();
    }
    for Post { site, .. } in posts {
        if let Err(why) = runtime().block_on(site.end()) {
            shared.unexpected(format!("not everything was given back: {why}"));
        }
        match site.log_lines() {
            Ok((lines, due)) if lines == due => {}
            Ok((lines, due)) => shared.unexpected(format!("{lines} lines in a log that had to have {due}")),
            Err(why) => shared.unexpected(why),
        }
    }
    for (kind, count) in Kind::ALL.iter().zip(&shared.counts) {
        verdict.counts.push((*kind, count.load(Ordering::Relaxed)));
    }
    verdict.unexpected = lock(&shared.unexpected).1;
    verdict
}

async fn call_until_stopped(site: Arc<Site>, shared: Arc<Shared>, mut caller: Caller) {
    while !shared.stop.load(Ordering::Relaxed) {
        let kind = caller.draw(MIX);
        let started = Instant::now();
        let ended = caller.call(&site, kind).await;
        let took = started.elapsed();
        shared.counts[kind as usize].fetch_add(1, Ordering::Relaxed);
        match ended {
            Ok(()) if kind.is_good() => {
                lock(&shared.latencies).record(took);
            }
            Ok(()) => {}
            Err(why) => shared.unexpected(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_four_calls_of_a_hundred_are_good() {
        assert_eq!(MIX.share(|_| true), 10_000);
        assert_eq!(MIX.share(Kind::is_good), 9_400);
    }
}
