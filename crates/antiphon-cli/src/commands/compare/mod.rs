//! `antiphon compare`.
//!
//! The comparison covers what the guest does: its answers, the kinds of errors, its own text and
//! exit code, its log and its host calls. Texts of traps and frames belong to the engine and are
//! not compared.

mod comparison;

use std::fmt::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon::EngineProviderFactory;
use antiphon::errors::{Error, ErrorKind};
use antiphon_host::EngineKind;
use serde_json::{Value, json};

use comparison::{Chain, Ends, Fingerprint, Outcome, Watch, Watched};

use crate::args::{CacheArgs, CompareArgs, Format, Mode};
use crate::bench::{Latency, short_time};
use crate::failure::Failure;
use crate::run::{self, Calls, Inputs};
use crate::terminal::{self, escape_json, escape_line};

/// The longest cause that is shown, in characters.
const CAUSE: usize = 300;
/// The exit code for outcomes that differ.
const DIFFERENT: u8 = 5;

/// One engine in one mode, and the outcome of its calls.
#[derive(Debug)]
struct Run {
    engine: EngineKind,
    mode: Mode,
    times: Times,
    ends: Ends,
}

/// How long each step took; `None` for a step that did not end.
#[derive(Debug, Default)]
struct Times {
    /// Compilation of the module.
    load: Option<Duration>,
    /// Start of an instance.
    start: Option<Duration>,
    /// Median of the calls after the first.
    call: Option<Duration>,
}

pub(crate) fn run(args: &CompareArgs) -> Result<ExitCode, Failure> {
    let engines = engines(args)?;
    let inputs = Inputs::load(&args.guest)?;
    let mut runs = Vec::new();
    for engine in engines {
        for mode in [Mode::Sync, Mode::Async] {
            let mut times = Times::default();
            let ends = load_and_call(args, &inputs, (engine, mode), &mut times)?;
            runs.push(Run { engine, mode, times, ends });
        }
    }
    let differences = differences(&runs);
    let report = if args.format == Format::Json {
        escape_json(&format!("{:#}\n", as_json(args, &runs, &differences)))
    } else {
        as_text(&runs, &differences)
    };
    terminal::write(report.as_bytes())?;
    let status = runs.first().map_or(0, |run| run.ends.last.status());
    Ok(if differences.is_empty() { status.into() } else { DIFFERENT.into() })
}

/// Returns the engines to compare, without duplicates.
fn engines(args: &CompareArgs) -> Result<Vec<EngineKind>, Failure> {
    let mut engines: Vec<EngineKind> = Vec::new();
    for engine in &args.engine {
        if !engines.contains(engine) {
            engines.push(*engine);
        }
    }
    if engines.is_empty() {
        engines.extend(EngineKind::available());
    }
    if engines.is_empty() {
        engines.push(EngineKind::default());
    }
    engines.iter().try_for_each(|engine| run::ensure_available(*engine))?;
    Ok(engines)
}

/// Runs one engine in one mode. An error of the library is an outcome, because other engines may
/// report it too. Only an option that the engine lacks, or a failure of this program, ends the
/// whole comparison.
fn load_and_call(
    args: &CompareArgs,
    inputs: &Inputs,
    (engine, mode): (EngineKind, Mode),
    times: &mut Times,
) -> Result<Ends, Failure> {
    let watch = Arc::new(Watch::default());
    let begun = Instant::now();
    let cache = CacheArgs::none();
    let terms = inputs.terms(&args.guest, (&args.wasi, &cache));
    let ended = run::factory(engine, &inputs.module, terms).and_then(|factory| {
        times.load = Some(begun.elapsed());
        call(args, inputs, (mode, &*factory), &watch, times)
    });
    match ended {
        Err(Failure::Library(error)) if error.kind() == ErrorKind::Unsupported => {
            let what = format!("{engine} lacks an option that was given; choose other engines with --engine");
            Err(Error::new(ErrorKind::Unsupported, what).with_source(error).into())
        }
        Err(Failure::Library(error)) => Ok(Ends::uncalled(error, watch.deeds())),
        other => other,
    }
}

fn call(
    args: &CompareArgs,
    inputs: &Inputs,
    (mode, factory): (Mode, &dyn EngineProviderFactory),
    watch: &Arc<Watch>,
    times: &mut Times,
) -> Result<Ends, Failure> {
    let log = Arc::clone(watch);
    let calls = Calls {
        operation: &args.guest.operation,
        payload: &inputs.payload,
        limits: inputs.limits,
        handler: Watched { rules: inputs.rules.clone(), watch: Arc::clone(watch) },
        log: move |line: antiphon::LogLine<'_>| log.log(line),
    };
    let mut latency = Latency::new()?;
    let mut history = Chain::default();
    let mut first = true;
    let mut left = args.repeat;
    let mut last = None;
    times.start = Some(calls.make(mode, factory, |ended, time| {
        watch.end();
        let answer = match ended {
            Ok(answer) => Fingerprint::of(answer),
            Err(error) => {
                last = Some(Outcome::failed(error));
                return ControlFlow::Break(());
            }
        };
        history.push(&[answer.sha256.as_bytes()]);
        if !std::mem::take(&mut first) {
            latency.record(time);
            left = left.saturating_sub(1);
        }
        last = Some(Outcome::Answered(answer));
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?);
    times.call = latency.median();
    let last = last.unwrap_or_else(|| unreachable!("the loop ends only after a call has set the outcome"));
    Ok(Ends { last, history: history.trace(), deeds: watch.deeds() })
}

/// Returns what differs between runs, without duplicates.
fn differences(runs: &[Run]) -> Vec<&'static str> {
    let mut found = Vec::new();
    if let [first, others @ ..] = runs {
        for what in others.iter().flat_map(|other| first.ends.differences(&other.ends)) {
            if !found.contains(&what) {
                found.push(what);
            }
        }
    }
    found
}

fn as_json(args: &CompareArgs, runs: &[Run], differences: &[&str]) -> Value {
    let nanoseconds =
        |time: Option<Duration>| time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let runs = runs.iter().map(|Run { engine, mode, times, ends }| {
        let (answer, error) = match &ends.last {
            Outcome::Answered(answer) => (Some(answer), None),
            Outcome::Failed { report, .. } => (None, Some(report)),
        };
        json!({
            "engine": engine.name(),
            "mode": mode.name(),
            "load_ns": nanoseconds(times.load),
            "start_ns": nanoseconds(times.start),
            "call_ns": nanoseconds(times.call),
            "answers": ends.history,
            "answer": answer,
            "error": error,
            "log": ends.deeds.log,
            "host_calls": ends.deeds.host_calls,
        })
    });
    json!({
        "module": args.guest.module.to_string_lossy(),
        "operation": args.guest.operation,
        "repeat": args.repeat,
        "same": differences.is_empty(),
        "differences": differences,
        "runs": runs.collect::<Vec<_>>(),
    })
}

/// Returns a line per run, then the verdict. Texts from guests are escaped.
fn as_text(runs: &[Run], differences: &[&str]) -> String {
    let time = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), short_time);
    let mut out = String::new();
    let mut row = |cells: [&str; 6]| {
        let [engine, mode, load, start, call, outcome] = cells;
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "{engine:<9} {mode:<5} {load:>8} {start:>8} {call:>8}  {outcome}");
    };
    row(["engine", "mode", "load", "start", "call", "outcome"]);
    for Run { engine, mode, times, ends } in runs {
        let times = [times.load, times.start, times.call].map(time);
        let [load, start, call] = times.each_ref().map(String::as_str);
        row([engine.name(), mode.name(), load, start, call, &outcome(ends)]);
    }
    for cause in causes(runs) {
        let _ = writeln!(out, "cause     {}", cut(cause, CAUSE));
    }
    let verdict = if differences.is_empty() {
        "the same everywhere".to_owned()
    } else {
        format!("not the same: {}", differences.join(", "))
    };
    let _ = writeln!(out, "verdict   {verdict}");
    out
}

/// Returns why modules were refused or did not start, without duplicates.
fn causes(runs: &[Run]) -> Vec<&str> {
    let mut found = Vec::new();
    for run in runs {
        let Outcome::Failed { report, .. } = &run.ends.last else { continue };
        // The causes of failed calls name times and places, which differ from run to run.
        let cause = report.cause().filter(|_| matches!(report.code(), "invalid_module" | "init_failed"));
        found.extend(cause.filter(|cause| !found.contains(cause)));
    }
    found
}

/// Returns the start of a text, on one line and escaped.
fn cut(text: &str, most: usize) -> String {
    let whole = escape_line(text.trim());
    let start: String = whole.chars().take(most).collect();
    let more = if start.len() < whole.len() { "..." } else { "" };
    format!("{start}{more}")
}

fn outcome(ends: &Ends) -> String {
    /// Enough digits of a digest to tell two answers apart by eye.
    const DIGITS: usize = 16;
    /// The longest text that is shown on a run's line.
    const TEXT: usize = 60;
    let mut out = match &ends.last {
        Outcome::Answered(answer) => {
            let digest: String = answer.sha256.chars().take(DIGITS).collect();
            format!("{} bytes, sha-256 {digest}", answer.size)
        }
        Outcome::Failed { report, .. } => {
            let said = report.guest_error().unwrap_or(report.message());
            format!("{}: {}", report.code(), cut(said, TEXT))
        }
    };
    for (what, trace) in [("log line", &ends.deeds.log), ("host call", &ends.deeds.host_calls)] {
        let plural = if trace.count == 1 { "" } else { "s" };
        if trace.count > 0 {
            let _ = write!(out, "; {} {what}{plural}", trace.count);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(engine: EngineKind, answer: &[u8]) -> Run {
        let last = Outcome::Answered(Fingerprint::of(answer));
        let ends = Ends { last, history: Chain::default().trace(), deeds: Watch::default().deeds() };
        Run { engine, mode: Mode::Sync, times: Times::default(), ends }
    }

    #[test]
    fn runs_are_compared_with_the_first_and_each_difference_is_named_once() {
        let [one, two, three] = [&b"a"[..], b"a", b"b"].map(|answer| run(EngineKind::Wasmtime, answer));
        assert_eq!(differences(&[one, two]), Vec::<&str>::new());
        let four = run(EngineKind::Wasmi, b"c");
        let one = run(EngineKind::Wasmtime, b"a");
        let runs = [one, three, four];
        assert_eq!(differences(&runs), ["the answer"]);
        let text = as_text(&runs, &differences(&runs));
        assert!(text.ends_with("verdict   not the same: the answer\n"), "{text}");
    }

    #[test]
    fn a_long_or_hostile_text_stays_one_harmless_line() {
        let hostile = format!("\u{1b}[2J\nverdict   the same {}", "x".repeat(1_000));
        let error = Error::new(ErrorKind::GuestFailed, "no").with_guest_error(Some(hostile));
        let line = outcome(&Ends::uncalled(error, Watch::default().deeds()));
        assert!(line.starts_with("guest_failed: \\u{1b}[2J\\nverdict   the same xxx"), "{line}");
        assert!(line.ends_with("xxx...") && line.len() < 100, "{line}");
    }
}
