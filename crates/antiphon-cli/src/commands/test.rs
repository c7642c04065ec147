//! `antiphon test`.

use std::fmt::Write;
use std::process::ExitCode;

use antiphon::Limits;

use crate::args::{TestArgs, TestedArgs};
use crate::cases::{Case, Cases, Ran, Update, junit_report, replace, replace_or_create, run_case};
use crate::failure::Failure;
use crate::payload::Unfit;
use crate::run;
use crate::terminal::{self, escape_block, escape_line};

/// The exit code if a case fails.
const FAILED: u8 = 1;

pub(crate) fn run(args: &TestArgs) -> Result<ExitCode, Failure> {
    run::ensure_available(args.tested.engine)?;
    let (cases, source) = Cases::load(&args.tested.cases)?;
    let ran = run_all(&args.tested, &cases)?;
    if let Some(path) = &args.junit {
        let report = junit_report(&args.tested.module.to_string_lossy(), &ran);
        replace_or_create(path, report.as_bytes())
            .map_err(|error| Failure::Usage(format!("cannot write {}", path.display()), error))?;
    }
    if args.update {
        let updated = update(&args.tested, &source, &ran)?;
        terminal::write(format!("{}{updated} updated\n", lines(&ran)).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    terminal::write(report(&ran).as_bytes())?;
    Ok(if failures(&ran) == 0 { ExitCode::SUCCESS } else { FAILED.into() })
}

/// Compiles the module once and runs all cases on it.
pub(crate) fn run_all<'a>(args: &TestedArgs, cases: &'a Cases) -> Result<Vec<(&'a Case, Ran)>, Failure> {
    let limits = args.limits(Limits::new());
    let module = run::read_module(&args.module, &limits)?;
    let factory = run::plain_factory(args.engine, &args.cache, &module, limits)?;
    let run = |case: &'a Case| Ok((case, run_case(case, (&*factory, limits), args.mode)?));
    cases.cases.iter().map(run).collect()
}

/// Returns a line per case, followed by its difference if it failed, and a line with the totals.
pub(crate) fn report(ran: &[(&Case, Ran)]) -> String {
    let failed = failures(ran);
    format!("{}{} passed, {failed} failed\n", lines(ran), ran.len().saturating_sub(failed))
}

fn failures(ran: &[(&Case, Ran)]) -> usize {
    ran.iter().filter(|(_, ran)| ran.difference.is_some()).count()
}

fn lines(ran: &[(&Case, Ran)]) -> String {
    let mut out = String::new();
    for (case, ran) in ran {
        let name = escape_line(case.name());
        // Writing to a `String` cannot fail.
        let _ = match &ran.difference {
            None => writeln!(out, "ok    {name}"),
            Some(difference) => writeln!(out, "FAIL  {name}\n      {}", escape_block(difference, "      ")),
        };
    }
    out
}

/// Writes the actual outcomes of failed cases into the file, and returns how many there were.
fn update(args: &TestedArgs, source: &str, ran: &[(&Case, Ran)]) -> Result<usize, Failure> {
    let path = &args.cases;
    let failure = |error| Failure::Usage(format!("cannot update {}", path.display()), error);
    let unfit = |Unfit(what)| failure(std::io::Error::other(what));
    let mut update = Update::of(source).map_err(unfit)?;
    let mut updated: usize = 0;
    for (index, (case, ran)) in ran.iter().enumerate() {
        if ran.difference.is_some() {
            update.accept(index, case, &ran.ended).map_err(unfit)?;
            updated = updated.saturating_add(1);
        }
    }
    if updated > 0 {
        replace(path, update.text().as_bytes()).map_err(failure)?;
    }
    Ok(updated)
}
