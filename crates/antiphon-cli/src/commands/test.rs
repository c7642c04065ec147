//! `antiphon test`.

use std::process::ExitCode;

use crate::args::{Isolation, TestArgs, TestedArgs};
use crate::cases::{Case, Cases, Host, Ran, Update, junit_report, replace, replace_or_create, run_case};
use crate::failure::Failure;
use crate::payload::Unfit;
use crate::run::{self, Terms};
use crate::terminal::{self, escape_block, escape_line};

/// The exit code if a case fails.
const FAILED: u8 = 1;

/// The cases that ran, with their places in the file.
type AllRan<'a> = [(usize, &'a Case, Ran)];

pub(crate) fn run(args: &TestArgs) -> Result<ExitCode, Failure> {
    run::ensure_available(args.tested.engine)?;
    let limits = args.tested.limits.limits();
    let (cases, source) = Cases::load(&args.tested.cases, &limits)?;
    let ran = run_all(&args.tested, &cases)?;
    // Every file that is asked for is tried, and the results are complete before one fails.
    let updated = args.update.then(|| update(&args.tested, &source, &ran)).transpose();
    let reported = args.junit.as_ref().map_or(Ok(()), |path| {
        let report = junit_report(&args.tested.module.to_string_lossy(), &ran);
        replace_or_create(path, report.as_bytes())
            .map_err(|error| Failure::Usage(format!("cannot write {}", path.display()), error))
    });
    let summary = match updated {
        Ok(Some(updated)) => format!("{updated} updated\n"),
        _ => summary(&ran, &cases),
    };
    terminal::write(summary.as_bytes())?;
    let updated = updated?;
    reported?;
    Ok(if updated.is_some() || failures(&ran) == 0 { ExitCode::SUCCESS } else { FAILED.into() })
}

/// Compiles the module once and runs the selected cases on it. Writes a line for each case once it
/// has run.
pub(crate) fn run_all<'a>(
    args: &TestedArgs,
    cases: &'a Cases,
) -> Result<Vec<(usize, &'a Case, Ran)>, Failure> {
    let selected = || cases.cases.iter().enumerate().filter(|(_, case)| args.selects(case.name()));
    if selected().next().is_none() {
        let error = std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "no case has this text in its name (upper and lower case count)",
        );
        return Err(Failure::Usage("--filter selects nothing".to_owned(), error));
    }
    let limits = args.limits.limits();
    let module = run::read_module(&args.module, &limits)?;
    let terms = Terms {
        path: &args.module,
        isolation: Isolation::Reuse,
        limits,
        wasi: &args.wasi,
        cache: &args.cache,
    };
    let factory = run::factory(args.engine, &module, terms)?;
    run::warn_of_unreached_world(&args.wasi, factory.module_info());
    let host = Host { factory: &*factory, limits, mode: args.mode };
    let run = |(index, case): (usize, &'a Case)| {
        let ran = run_case(case, host)?;
        terminal::write(lines(case, &ran).as_bytes())?;
        Ok((index, case, ran))
    };
    selected().map(run).collect()
}

/// Returns the line with the totals.
pub(crate) fn summary(ran: &AllRan<'_>, cases: &Cases) -> String {
    let (failed, left_out) = (failures(ran), cases.cases.len().saturating_sub(ran.len()));
    let left_out = if left_out == 0 { String::new() } else { format!(", {left_out} left out") };
    format!("{} passed, {failed} failed{left_out}\n", ran.len().saturating_sub(failed))
}

fn failures(ran: &AllRan<'_>) -> usize {
    ran.iter().filter(|(_, _, ran)| ran.difference.is_some()).count()
}

/// Returns a line for a case, followed by its difference if it failed, and by its notes.
fn lines(case: &Case, ran: &Ran) -> String {
    let name = escape_line(case.name());
    let mut out = match &ran.difference {
        None => format!("ok    {name}\n"),
        Some(difference) => format!("FAIL  {name}\n      {}\n", escape_block(difference, "      ")),
    };
    for note in &ran.notes {
        out.push_str(&format!("      note: {}\n", escape_line(note)));
    }
    out
}

/// Writes the actual outcomes of failed cases into the file, and returns how many there were.
fn update(args: &TestedArgs, source: &str, ran: &AllRan<'_>) -> Result<usize, Failure> {
    let path = &args.cases;
    let failure = |error| Failure::Usage(format!("cannot update {}", path.display()), error);
    let unfit = |Unfit(what)| failure(std::io::Error::other(what));
    let mut update = Update::of(source).map_err(unfit)?;
    let mut updated: usize = 0;
    for (index, case, ran) in ran {
        if ran.difference.is_some() {
            update.accept(*index, case, ran).map_err(unfit)?;
            updated = updated.saturating_add(1);
        }
    }
    if updated > 0 {
        update
            .write_answers()
            .map_err(|(path, error)| Failure::Usage(format!("cannot write {}", path.display()), error))?;
        replace(path, update.text().as_bytes()).map_err(failure)?;
    }
    Ok(updated)
}
