//! The soak: a provider is called for minutes or hours, and must be in the same state at the end as
//! at the start.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::{BoxError, Error};
use antiphon::{EngineProviderFactory, Isolation};
use clap::Parser;

use crate::load::traffic::Site;
use crate::load::{Callee, Parts};
use crate::run::Setup;
use crate::suite::{Mode, Module, Need, Provider, Subject};
use crate::support::runtime;

mod memory;
mod run;
mod verdict;

use run::{Post, run};

/// Hosts of each mode, and callers of each host.
const HOSTS: usize = 4;
const CALLERS: usize = 4;

/// Callees of each isolation, and callers of each callee in each of the two modes. That makes as
/// many callers as the hosts have.
const CALLEES: usize = 2;
const CALLERS_IN_EACH_MODE: usize = 4;

/// Some of the calls loop, some wait, and some take all the memory that they can get.
const NEEDS: &[Need] = &[Need::Deadline, Need::Suspend, Need::MemoryLimit];

/// Calls a provider for some time and prints the verdict
///
/// The arguments of a soak's program: its length, and the seed of the order of its calls.
#[derive(Clone, Copy, Debug, PartialEq, Parser)]
pub struct SoakLength {
    /// How long to run
    #[arg(long, default_value_t = 2.0, value_name = "N")]
    pub minutes: f64,
    /// The seed of the order of calls
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    pub seed: u64,
}

/// Soaks a provider, as the `main` of a program: `--minutes N` of calls by 32 callers over four
/// synchronous and four asynchronous hosts. Six in a hundred of the calls are traps, loops, memory
/// bombs, cancels, dropped futures and replacements.
///
/// Each call has bytes of its own and exactly one right outcome; any other outcome is unexpected.
/// The exit code says whether there was no unexpected outcome, and whether memory and latency
/// stayed within these bounds:
///
/// | run | memory in the second half | mean latency of the second half over that of the first |
/// |---|---|---|
/// | 20 minutes and more | a slope of 1 MiB in 10 minutes | 1.2 |
/// | shorter | a growth of 4 MiB, because the allocator has not settled | 2, because one busy moment is much of a short run |
///
/// Latency is that of the good calls. The first tenth of the run is the warm-up and does not count,
/// nor does a tenth in which other processes used more than a tenth of a processor.
pub fn soak<F, E>(setup: Setup, provider: F) -> ExitCode
where
    F: Fn(&Module) -> Result<Arc<dyn EngineProviderFactory>, E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    let provider: Arc<Provider> = Arc::new(move |module: &Module| provider(module).map_err(Into::into));
    judged(&setup, SoakLength::parse(), &provider, |name| {
        let mut posts = Vec::new();
        for mode in [Mode::Sync, Mode::Async] {
            let subject = Subject::new(Arc::clone(&provider), mode, None);
            if let Some(reason) = subject.absent() {
                println!("no {} hosts: {reason}", mode.name());
                continue;
            }
            for _ in 0..HOSTS {
                let site =
                    runtime().block_on(Site::start(&subject)).map_err(|error| refused(name, &error))?;
                posts.push(Post { site: Arc::new(site), callers: vec![mode; CALLERS] });
            }
        }
        Ok(posts)
    })
}

/// Soaks a program that is built over a provider's asynchronous hosts, such as a pool. Calls and
/// bounds are those of [`soak()`]. There are two callees whose calls share instances and two whose
/// calls do not; four tasks and four threads without a runtime call each of them.
///
/// `build` makes a callee of its parts. It runs on a runtime.
pub fn soak_callees<F, E, B, C>(setup: Setup, length: SoakLength, provider: F, build: B) -> ExitCode
where
    F: Fn(&Module) -> Result<Arc<dyn EngineProviderFactory>, E> + Send + Sync + 'static,
    E: Into<BoxError>,
    B: AsyncFn(Parts) -> Result<C, Error>,
    C: Callee + 'static,
{
    let provider: Arc<Provider> = Arc::new(move |module: &Module| provider(module).map_err(Into::into));
    judged(&setup, length, &provider, |name| {
        let mut posts = Vec::new();
        for isolation in [Isolation::Reuse, Isolation::PerCall] {
            let subject = Subject::new(Arc::clone(&provider), Mode::Async, None).isolated(isolation);
            for _ in 0..CALLEES {
                let site = runtime().block_on(Site::build(&subject, &build));
                let site = Arc::new(site.map_err(|error| refused(name, &error))?);
                let callers = [Mode::Sync, Mode::Async].repeat(CALLERS_IN_EACH_MODE);
                posts.push(Post { site, callers });
            }
        }
        Ok(posts)
    })
}

/// Soaks a provider: the `soak!` macro expands to this call.
#[doc(hidden)]
pub fn main<F, E>(name: &str, provider: F) -> ExitCode
where
    F: Fn(&Module) -> Result<Arc<dyn EngineProviderFactory>, E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    soak(Setup::new(name), provider)
}

/// Runs the calls at all posts and prints the verdict, or prints why nothing can be called.
fn judged(
    setup: &Setup,
    length: SoakLength,
    provider: &Arc<Provider>,
    posts: impl FnOnce(&str) -> Result<Vec<Post>, String>,
) -> ExitCode {
    let SoakLength { minutes, seed } = length;
    let Ok(time) = Duration::try_from_secs_f64(minutes * 60.0) else {
        eprintln!("not a time: {minutes} minutes");
        return ExitCode::from(2);
    };
    let name = setup.name();
    let posts = match lacks(name, provider).and_then(|()| posts(name)) {
        Ok(posts) => posts,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let callers: usize = posts.iter().map(|post| post.callers.len()).sum();
    println!("{name}: {minutes} minutes, seed {seed}, {callers} callers at {} posts", posts.len());
    if posts.is_empty() {
        return ExitCode::FAILURE;
    }
    let verdict = run(&posts, time, seed);
    print!("{verdict}");
    if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reports what the traffic needs and the provider lacks.
fn lacks(name: &str, provider: &Arc<Provider>) -> Result<(), String> {
    let capabilities = Subject::new(Arc::clone(provider), Mode::Sync, None).capabilities();
    let capabilities =
        capabilities.map_err(|error| format!("{name} refuses the smallest guest: {error:#?}"))?;
    match NEEDS.iter().find_map(|need| need.missing(Mode::Async, &capabilities)) {
        Some(reason) => Err(format!("{name} cannot be soaked: {reason}")),
        None => Ok(()),
    }
}

fn refused(name: &str, error: &Error) -> String {
    format!("{name} does not start the guest: {error:#?}")
}
