//! A million calls, each with bytes of its own, and what the process holds after them.

use std::sync::Arc;

use super::{figures, scale};
use crate::load::stress::deadline::MODES;
use crate::load::traffic::{Caller, Kind, Mix, Site};
use crate::suite::{Case, Job, Need, Subject, case};
use crate::support::{Process, runtime};

pub(super) const CASES: &[Case] = &[case!(isolation::of_a_million_calls_none_sees_another_and_nothing_stays)
    .only(MODES)
    .needs(&[Need::Deadline, Need::Suspend, Need::MemoryLimit])];

const SEED: u64 = 0x0123_4567_89ab_cdef;
const HOSTS: usize = 8;
const CALLERS: usize = 64;

/// Calls of each mode at a scale of 1. At a scale of 10 the two modes make a million.
const CALLS: usize = 50_000;

const MIX: Mix = Mix(&[
    (Kind::Echo, 4_600),
    (Kind::Relay, 3_000),
    (Kind::Log, 1_500),
    (Kind::Fail, 300),
    (Kind::Trap, 200),
    (Kind::CancelWaiting, 100),
    (Kind::CancelBefore, 80),
    (Kind::CancelLooping, 10),
    (Kind::Drop, 200),
    (Kind::Bomb, 6),
    (Kind::Replace, 3),
    (Kind::ReplaceBadly, 1),
]);

/// How much more the process may hold after the calls than before them.
mod tolerance {
    /// The allocator maps arenas for threads that contend, which varies by chance; the stacks of
    /// ended threads are kept for new ones.
    pub(super) const MAPPINGS: usize = 64;
    /// Fragmented heaps: replaced modules leave holes between what lives on. Memory rises for some
    /// hundred thousand calls, ever more slowly, and three times as many calls end at an equal
    /// size; so half of all calls are the warm-up. At a scale of 10 a leak of fifty bytes a call
    /// would exceed this.
    pub(super) const RESIDENT: u64 = 8 << 20;
}

fn of_a_million_calls_none_sees_another_and_nothing_stays(subject: &Subject) {
    let sites: Vec<_> = (0..HOSTS)
        .map(|_| Arc::new(runtime().block_on(Site::start(subject)).expect("a guest that starts")))
        .collect();
    let calls = CALLS * scale();
    let warm_up = round(subject, &sites, SEED, 0, calls / 2);
    let before = Process::settled();
    let tasks = alive();
    let counts = round(subject, &sites, SEED + 1, CALLERS, calls - calls / 2);
    let after = Process::settled();

    let unusual: usize =
        Kind::ALL.iter().zip(&counts).filter(|(kind, _)| !kind.is_good()).map(|(_, count)| count).sum();
    let total: usize = counts.iter().sum();
    figures(format_args!("seed {SEED:#x}: {total} calls after {}, {unusual} of them unusual", sum(&warm_up)));
    for site in &sites {
        let (lines, due) = site.log_lines().unwrap();
        assert_eq!(lines, due, "lines in the log, and calls that logged one");
    }
    assert!(alive() <= tasks, "{} tasks, then {}", tasks, alive());
    if let (Some(before), Some(after)) = (before, after) {
        figures(format_args!("before {before}, after {after}"));
        assert!(after.files <= before.files, "file descriptors: {before}, then {after}");
        assert!(after.threads <= before.threads, "threads: {before}, then {after}");
        assert!(after.mappings <= before.mappings + tolerance::MAPPINGS, "mappings: {before}, then {after}");
        let grown = after.resident.saturating_sub(before.resident);
        assert!(grown <= tolerance::RESIDENT, "memory: {before}, then {after}");
    }
}

fn alive() -> usize {
    runtime().metrics().num_alive_tasks()
}

fn sum(counts: &[usize]) -> usize {
    counts.iter().sum()
}

/// Makes `calls` calls with all callers; returns how many there were of each kind.
fn round(subject: &Subject, sites: &[Arc<Site>], seed: u64, first: usize, calls: usize) -> Vec<usize> {
    let jobs: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let site = Arc::clone(&sites[caller % sites.len()]);
            Job::start(subject.mode(), async move {
                let mut counts = vec![0; Kind::ALL.len()];
                let mut caller = Caller::new(seed, first + caller);
                for _ in 0..calls / CALLERS {
                    let kind = caller.draw(MIX);
                    counts[kind as usize] += 1;
                    if let Err(why) = caller.call(&site, kind).await {
                        panic!("seed {seed:#x}: {why}");
                    }
                }
                counts
            })
        })
        .collect();
    let mut counts = vec![0; Kind::ALL.len()];
    for job in jobs {
        for (count, own) in counts.iter_mut().zip(job.join()) {
            *count += own;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_the_mix_are_ten_thousand() {
        assert_eq!(MIX.share(|_| true), 10_000);
    }
}
