//! Runs the suite on a provider.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, RwLock};
use std::thread::available_parallelism;
use std::time::Duration;

use antiphon::errors::BoxError;
use antiphon::{EngineProviderFactory, Isolation};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::cases::cases;
use crate::suite::{Case, Mode, Module, Provider, Subject, guests_dir};
use crate::support::workers::{self, Unchecked, Workers};
use crate::support::{Bound, unpoisoned};

/// Returns the bound of an ordinary case, past which it counts as hanging:
/// `ANTIPHON_CONFORMANCE_PATIENCE_S` seconds, 120 by default. Its memory has no bound, because
/// other cases run at the same time.
fn patience() -> Bound {
    let set = std::env::var("ANTIPHON_CONFORMANCE_PATIENCE_S").ok().and_then(|text| text.parse().ok());
    Bound::new(Duration::from_secs(set.unwrap_or(120)), u64::MAX)
}

/// Ordinary cases hold it shared. Cases that measure the process or a time hold it alone.
static QUIET: RwLock<()> = RwLock::new(());

/// The options of a run, besides the provider.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Setup {
    name: String,
    guests: Option<PathBuf>,
    left_out: Vec<Mode>,
    isolation: Isolation,
}

impl Setup {
    /// Returns a run for the provider of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), guests: None, left_out: Vec::new(), isolation: Isolation::Reuse }
    }

    /// Sets the folder of the built guests of Antiphon's repository. Without it the cases that run
    /// them are skipped.
    pub fn guests(mut self, dir: Option<PathBuf>) -> Self {
        self.guests = dir;
        self
    }

    /// Leaves a mode out: its cases are shown as ignored. This is for an engine whose
    /// [`Mode::Straight`] would only repeat [`Mode::Async`].
    pub fn without(mut self, mode: Mode) -> Self {
        self.left_out.push(mode);
        self
    }

    /// Sets whether calls share an instance. With [`Isolation::PerCall`] the cases about what an
    /// instance keeps are skipped.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn subject(&self, provider: &Arc<Provider>, mode: Mode) -> Subject {
        Subject::new(Arc::clone(provider), mode, self.guests.clone()).isolated(self.isolation)
    }
}

/// Runs the suite on a provider, as the `main` of a test target: takes the arguments of `cargo
/// test` from the command line, and prints each test and the totals.
///
/// A case is shown as ignored, with the reason, if it needs a capability that the provider lacks,
/// or a kind of host that the engine has no provider for
/// ([`ErrorKind::Unsupported`](antiphon::errors::ErrorKind::Unsupported)). The exit code says
/// whether all other cases passed. It is a failure if the provider refuses the smallest guest, or
/// has neither kind of host.
///
/// Hostile cases run in other processes: this program again, with its arguments, several at once
/// and each with one case at a time. A program with more than one run gives each a name of its own.
pub fn run<F, E>(setup: Setup, provider: F) -> ExitCode
where
    F: Fn(&Module) -> Result<Arc<dyn EngineProviderFactory>, E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    let provider: Arc<Provider> = Arc::new(move |module: &Module| provider(module).map_err(Into::into));
    let served = workers::served_run();
    if served.as_ref().is_some_and(|run| *run != setup.name) {
        // A worker of another run in the same program.
        return ExitCode::SUCCESS;
    }
    let capabilities = match Subject::new(Arc::clone(&provider), Mode::Sync, None).capabilities() {
        Ok(capabilities) => capabilities,
        Err(error) => {
            eprintln!("{} refuses the smallest guest: {error:#?}", setup.name);
            return ExitCode::FAILURE;
        }
    };
    let Some(absent) = Absent::of(&provider, &setup.left_out) else {
        eprintln!("{} has no provider for either kind of host", setup.name);
        return ExitCode::FAILURE;
    };
    if served.is_some() {
        // The engine is in memory by now, so no case is charged for that.
        return workers::serve(|name| check_named(name, &setup, &provider));
    }
    let mut arguments = Arguments::from_args();
    // Cases wait for deadlines and for each other. Some more of them than there are processors keep
    // these busy, and few enough that none takes long for want of one.
    arguments.test_threads.get_or_insert_with(|| {
        let processors = available_parallelism().map_or(1, NonZero::get);
        processors + processors.div_ceil(2)
    });
    let workers = Arc::new(Workers::new(&setup.name));
    let mut trials = Vec::new();
    for case in cases() {
        for mode in case.modes() {
            let no_guests = (case.needs_guests() && setup.guests.is_none())
                .then_some("the built guests of Antiphon's repository are not there");
            let no_state = (case.is_about_state() && setup.isolation == Isolation::PerCall)
                .then_some("each call has an instance of its own");
            let missing = absent.reason(*mode).or_else(|| case.missing(*mode, &capabilities));
            let subject = setup.subject(&provider, *mode);
            let trial = trial(*case, subject, missing.or(no_guests).or(no_state), &workers);
            trials.push(trial.with_kind(setup.name.clone()));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let ended_badly = workers.end();
    ended_badly.iter().for_each(|text| eprintln!("{text}"));
    if ended_badly.is_empty() { conclusion.exit_code() } else { ExitCode::FAILURE }
}

/// The modes that a provider lacks.
pub(crate) struct Absent(Vec<(Mode, &'static str)>);

impl Absent {
    /// Returns the absent modes; `None` if every mode is absent.
    pub(crate) fn of(provider: &Arc<Provider>, left_out: &[Mode]) -> Option<Self> {
        let absent = |mode: &Mode| {
            let left_out = left_out.contains(mode).then_some("the target leaves this mode out");
            let reason = left_out.or_else(|| Subject::new(Arc::clone(provider), *mode, None).absent())?;
            Some((*mode, reason))
        };
        let absent: Vec<_> = Mode::ALL.iter().filter_map(absent).collect();
        (absent.len() < Mode::ALL.len()).then_some(Self(absent))
    }

    /// Returns why a mode is absent; `None` if the provider has it.
    pub(crate) fn reason(&self, mode: Mode) -> Option<&'static str> {
        self.0.iter().find(|(absent, _)| *absent == mode).map(|(_, reason)| *reason)
    }
}

/// Runs the suite: the `suite!` macro expands to this call.
#[doc(hidden)]
pub fn main<F, E>(name: &str, manifest_dir: Option<&str>, provider: F) -> ExitCode
where
    F: Fn(&Module) -> Result<Arc<dyn EngineProviderFactory>, E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    let guests = manifest_dir.and_then(|dir| guests_dir(Path::new(dir)));
    run(Setup::new(name).guests(guests), provider)
}

/// The name of a case in a mode, as a run prints it.
fn name(case: &Case, mode: Mode) -> String {
    format!("{}::{case:?}", mode.name())
}

fn trial(case: Case, subject: Subject, missing: Option<&'static str>, workers: &Arc<Workers>) -> Trial {
    let name = name(&case, subject.mode());
    let workers = Arc::clone(workers);
    Trial::ignorable_test(name.clone(), move || match missing {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => check(case, || match case.is_hostile() {
            true => check_in_worker(case, subject, (&name, &workers)),
            false => within(patience(), case, subject),
        })
        .map(|()| Completion::Completed),
    })
}

/// Checks a hostile case in a worker. Where the program cannot start itself again, hostile cases
/// run here, one at a time.
fn check_in_worker(case: Case, subject: Subject, (name, workers): (&str, &Workers)) -> Result<(), Failed> {
    static HERE: Mutex<()> = Mutex::new(());
    workers.check(name).or_else(|unchecked| match unchecked {
        Unchecked::Failed(failed) => Err(failed),
        Unchecked::NoWorker => {
            let _here = unpoisoned(HERE.lock());
            hostile(case, subject)
        }
    })
}

/// Checks a case when no other case forbids it.
fn check(case: Case, check: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let (_shared, _alone);
    if case.is_alone() {
        _alone = unpoisoned(QUIET.write());
    } else {
        _shared = unpoisoned(QUIET.read());
    }
    check()
}

/// Checks a hostile case in a worker.
fn check_named(test: &str, setup: &Setup, provider: &Arc<Provider>) -> Result<(), Failed> {
    let tests = cases().flat_map(|case| case.modes().iter().map(move |mode| (case, *mode)));
    let Some((case, mode)) = tests.into_iter().find(|(case, mode)| name(case, *mode) == test) else {
        return Err(format!("no test is called {test}").into());
    };
    hostile(*case, setup.subject(provider, mode))
}

/// Checks a hostile case within its bound, which the runner sets, so that no case can forget it.
fn hostile(case: Case, subject: Subject) -> Result<(), Failed> {
    within(case.bound().unwrap_or_else(patience), case, subject)
}

/// Checks a case on a thread of its own, so that a hanging case fails and the run goes on.
pub(crate) fn within(bound: Bound, case: Case, subject: Subject) -> Result<(), Failed> {
    bound.run(format!("{case:?}"), move || case.check(&subject))?.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked").to_owned().into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_of(check: fn(&Subject), bound: impl FnOnce(Case) -> Case) -> Result<(), String> {
        let subject = Subject::new(Arc::new(|_: &Module| Err("no engine".into())), Mode::Sync, None);
        let case = bound(Case::new("topic", "name", check).hostile());
        super::hostile(case, subject).map_err(|failed| failed.message().unwrap_or_default().to_owned())
    }

    #[test]
    fn a_hostile_case_within_its_bound_passes() {
        assert_eq!(check_of(|_| (), |case| case), Ok(()));
    }

    #[test]
    fn a_hostile_case_that_overstays_fails() {
        let sleep = |_: &Subject| std::thread::sleep(Duration::from_secs(2));
        let error = check_of(sleep, |case| case.within(Duration::from_millis(10), u64::MAX)).unwrap_err();
        assert!(error.contains("did not end within its bound of 10ms"), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_hostile_case_that_takes_too_much_memory_fails() {
        let allocate = |_: &Subject| drop(std::hint::black_box(vec![1u8; 256 << 20]));
        let error = check_of(allocate, |case| case).unwrap_err();
        assert!(error.contains("more than its bound of 201326592"), "{error}");
    }

    #[test]
    fn a_hostile_case_that_fails_says_why() {
        let fail = |_: &Subject| crate::support::panic_quietly("not so");
        assert_eq!(check_of(fail, |case| case), Err("not so".into()));
    }
}
