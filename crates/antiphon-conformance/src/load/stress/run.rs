//! Runs the stress cases on a provider.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use antiphon::EngineProviderFactory;
use antiphon::errors::BoxError;
use libtest_mimic::{Arguments, Completion, Trial};

use super::{cases, cpu, one_cpu, starved};
use crate::run::{Absent, Setup, within};
use crate::suite::{Case, Module, Provider, Subject};
use crate::support::Bound;

/// The time after which a case counts as hanging, for each step of the scale.
const PATIENCE: Duration = Duration::from_secs(120);

/// Puts a provider under stress, as the `main` of a test target: deadlines with too few processors,
/// leaks and isolation over many calls, replacements. The arguments are those of `cargo test`.
///
/// Cases run one at a time, whatever the arguments say about threads, and print their figures. The
/// environment variable `ANTIPHON_STRESS_SCALE` makes them larger: at 1, the default, they take a
/// minute together; at 10 they make a million calls and a thousand replacements.
///
/// The exit code says whether all cases passed. It is a failure if the provider refuses the
/// smallest guest.
pub fn stress<F, E>(setup: Setup, provider: F) -> ExitCode
where
    F: Fn(&Module) -> Result<Arc<dyn EngineProviderFactory>, E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    let mut arguments = Arguments::from_args();
    // The cases measure the process, so the load of another case would show in their figures.
    arguments.test_threads = Some(1);
    // Before the first thread starts, so that all threads inherit it.
    let restricted = cpu::restrict_if_asked();

    let provider: Arc<Provider> = Arc::new(move |module: &Module| provider(module).map_err(Into::into));
    let smallest = Subject::new(Arc::clone(&provider), crate::suite::Mode::Sync, None);
    let capabilities = match smallest.capabilities() {
        Ok(capabilities) => capabilities,
        Err(error) => {
            eprintln!("{} refuses the smallest guest: {error:#?}", setup.name());
            return ExitCode::FAILURE;
        }
    };
    let Some(absent) = Absent::of(&provider, &[]) else {
        eprintln!("{} has no provider for either kind of host", setup.name());
        return ExitCode::FAILURE;
    };
    let mut trials = Vec::new();
    for case in cases() {
        for mode in case.modes() {
            let missing = absent
                .reason(*mode)
                .or_else(|| case.missing(*mode, &capabilities))
                .or_else(|| missing(case, restricted));
            let subject = Subject::new(Arc::clone(&provider), *mode, None);
            let elsewhere = case.topic() == one_cpu::TOPIC && !restricted;
            trials.push(trial(*case, subject, missing, elsewhere).with_kind(setup.name().to_owned()));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs the stress cases: the `stress!` macro expands to this call.
#[doc(hidden)]
pub fn main<F, E>(name: &str, provider: F) -> ExitCode
where
    F: Fn(&Module) -> Result<Arc<dyn EngineProviderFactory>, E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    stress(Setup::new(name), provider)
}

/// Returns what this machine lacks for a case.
fn missing(case: &Case, restricted: bool) -> Option<&'static str> {
    match case.topic() {
        one_cpu::TOPIC if !restricted => cpu::cannot_restrict(),
        starved::TOPIC => cpu::cannot_separate(),
        _ => None,
    }
}

fn trial(case: Case, subject: Subject, missing: Option<&'static str>, elsewhere: bool) -> Trial {
    let name = format!("{}::{case:?}", subject.mode().name());
    let bound = Bound::new(PATIENCE * super::scale() as u32, u64::MAX);
    Trial::ignorable_test(name.clone(), move || {
        if let Some(reason) = missing {
            return Ok(Completion::ignored_with(reason));
        }
        // Ends the line that the runner began with the test's name.
        println!();
        if elsewhere {
            cpu::run_on_one(&name)?;
        } else {
            within(bound, case, subject)?;
        }
        Ok(Completion::Completed)
    })
}
