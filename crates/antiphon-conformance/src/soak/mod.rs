//! One provider called for minutes or hours, and whether it is at the end what it was at the beginning.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::EngineProviderFactory;
use antiphon::errors::BoxError;
use clap::Parser;

use crate::case::{Mode, Need};
use crate::host::runtime;
use crate::job::Job;
use crate::latencies::Latencies;
use crate::module::Module;
use crate::others::Others;
use crate::run::Setup;
use crate::subject::{Provider, Subject};
use crate::traffic::{Caller, Kind, Mix, Site};

mod memory;
mod verdict;

use verdict::{Sample, Verdict, Window};

/// Hosts of each mode, and callers of each host.
const HOSTS: usize = 4;
const CALLERS: usize = 4;

/// Windows of a run. The first one is the warm-up.
const WINDOWS: u32 = 10;

/// How often a line says how it goes, at most.
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

/// Of its calls some loop, some wait, and some take all the memory that there is.
const NEEDS: &[Need] = &[Need::Deadline, Need::Suspend, Need::MemoryLimit];

/// Calls a provider for a time, and prints what became of it.
#[derive(Parser)]
struct Arguments {
    /// For how long
    #[arg(long, default_value_t = 2.0, value_name = "N")]
    minutes: f64,
    /// Which calls come in which order
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
}

/// Soaks a provider, as a program's `main` does: `--minutes N` of calls by 32 callers over four synchronous and four
/// asynchronous hosts, six in a hundred of them traps, loops, memory bombs, cancels, dropped futures and replacements.
///
/// Each call has bytes of its own and one outcome that is right; every other one is unexpected. The exit code says
/// whether there was none, whether memory stayed where it was, and latency too:
///
/// | run | memory in the second half | last window's p99 over that of the first after the warm-up |
/// |---|---|---|
/// | 20 minutes and more | a slope of 1 MiB in 10 minutes | 1.2 |
/// | shorter | a growth of 4 MiB, as the allocator has not settled | 2, as one busy moment of the machine is much of a window; not judged where other processes used more than a tenth of a processor in either window |
pub fn soak<F, E>(setup: Setup, provider: F) -> ExitCode
where
    F: Fn(&Module) -> Result<Arc<dyn EngineProviderFactory>, E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    let arguments = Arguments::parse();
    let Ok(time) = Duration::try_from_secs_f64(arguments.minutes * 60.0) else {
        eprintln!("not a time: {} minutes", arguments.minutes);
        return ExitCode::from(2);
    };
    let provider: Arc<Provider> = Arc::new(move |module: &Module| provider(module).map_err(Into::into));
    match Subject::new(Arc::clone(&provider), Mode::Sync, None).capabilities() {
        Ok(capabilities) => {
            if let Some(reason) = NEEDS.iter().find_map(|need| need.missing(Mode::Async, &capabilities)) {
                eprintln!("{} cannot be soaked: {reason}", setup.name());
                return ExitCode::FAILURE;
            }
        }
        Err(error) => {
            eprintln!("{} refuses the smallest guest: {error:#?}", setup.name());
            return ExitCode::FAILURE;
        }
    }
    let mut sites = Vec::new();
    for mode in [Mode::Sync, Mode::Async] {
        let subject = Subject::new(Arc::clone(&provider), mode, None);
        if let Some(reason) = subject.absent() {
            println!("no {} hosts: {reason}", mode.name());
            continue;
        }
        for _ in 0..HOSTS {
            match runtime().block_on(Site::start(&subject)) {
                Ok(site) => sites.push(Arc::new(site)),
                Err(error) => {
                    eprintln!("{} does not start the guest: {error:#?}", setup.name());
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    if sites.is_empty() {
        return ExitCode::FAILURE;
    }
    println!(
        "{}: {} minutes, seed {}, {} callers over {} hosts",
        setup.name(),
        arguments.minutes,
        arguments.seed,
        sites.len() * CALLERS,
        sites.len()
    );
    let verdict = run(&sites, time, arguments.seed);
    print!("{verdict}");
    if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the `soak!` macro expands to.
#[doc(hidden)]
pub fn main<F, E>(name: &str, provider: F) -> ExitCode
where
    F: Fn(&Module) -> Result<Arc<dyn EngineProviderFactory>, E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    soak(Setup::new(name), provider)
}

/// What the callers tell the one who watches.
struct Shared {
    stop: AtomicBool,
    counts: [AtomicU64; Kind::ALL.len()],
    /// Good calls since the last look.
    latencies: Mutex<Latencies>,
    /// Calls that ended as they must not; the first few, and how many.
    unexpected: Mutex<(Vec<String>, u64)>,
}

/// How many of them are kept and printed.
const KEPT: usize = 10;

impl Shared {
    fn new() -> Self {
        let counts = [const { AtomicU64::new(0) }; Kind::ALL.len()];
        let (stop, latencies) = (AtomicBool::new(false), Mutex::new(Latencies::new()));
        Self { stop, counts, latencies, unexpected: Mutex::default() }
    }

    fn unexpected(&self, why: String) {
        let mut unexpected = self.unexpected.lock().unwrap_or_else(PoisonError::into_inner);
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

fn run(sites: &[Arc<Site>], time: Duration, seed: u64) -> Verdict {
    let shared = Arc::new(Shared::new());
    let callers: Vec<_> = (0..sites.len() * CALLERS)
        .map(|number| {
            let (site, shared) = (Arc::clone(&sites[number % sites.len()]), Arc::clone(&shared));
            Job::start(site.mode(), call_until_stopped(site, shared, Caller::new(seed, number)))
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
                let mut recent = shared.latencies.lock().unwrap_or_else(PoisonError::into_inner);
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
    for site in sites {
        match site.log_lines() {
            Ok((lines, due)) if lines == due => {}
            Ok((lines, due)) => shared.unexpected(format!("{lines} lines in a log that had to have {due}")),
            Err(why) => shared.unexpected(why),
        }
    }
    for (kind, count) in Kind::ALL.iter().zip(&shared.counts) {
        verdict.counts.push((*kind, count.load(Ordering::Relaxed)));
    }
    verdict.unexpected = shared.unexpected.lock().unwrap_or_else(PoisonError::into_inner).1;
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
                shared.latencies.lock().unwrap_or_else(PoisonError::into_inner).record(took);
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
