//! The report of a benchmark, as text for humans and as JSON for programs.

use std::fmt::Write;
use std::time::Duration;

use bytesize::ByteSize;
use serde_json::{Value, json};

use super::latency::{Latency, short_time};
use super::subject::{Setting, Subject};
use super::tally::Figures;
use crate::args::BenchArgs;
use crate::run::Inputs;
use crate::terminal::{escape_json, escape_line};

/// The quantiles of the call times that are shown, with their names.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)];

/// What the benchmark observed about its own process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Resident memory before the first call, in bytes; known on Linux only.
    pub(crate) first: Option<u64>,
    pub(crate) peak: Option<u64>,
    /// Whether Ctrl-C ended the benchmark before its time was over.
    pub(crate) interrupted: bool,
}

/// The second subject's results divided by the first one's.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ratio {
    /// The ratio of calls per second: the median over all pairs of turns, the lowest and the
    /// highest.
    rate: f64,
    low: f64,
    high: f64,
    /// The ratios of two quantiles of the call times.
    p50: f64,
    p99: f64,
}

impl Ratio {
    /// Compares the second subject with the first.
    fn of(subjects: &[Subject]) -> Option<Self> {
        let [one, other] = subjects else { return None };
        Self::new(&one.figures, &other.figures)
    }

    /// Returns `None` if either subject had a turn without an answered call.
    fn new(one: &Figures, other: &Figures) -> Option<Self> {
        let pairs = one.rates.iter().zip(&other.rates);
        let mut rates: Vec<f64> = pairs.map(|(one, other)| other / one).collect();
        if !rates.iter().all(|rate| rate.is_finite() && *rate > 0.0) {
            return None;
        }
        rates.sort_by(f64::total_cmp);
        let middle = rates.len() / 2;
        let upper = *rates.get(middle)?;
        let rate = if rates.len().is_multiple_of(2) {
            (rates.get(middle.checked_sub(1)?)? + upper) / 2.0
        } else {
            upper
        };
        let of = |part| {
            let [one, other] = [one, other].map(|figures| figures.answered().quantile(part));
            Some(other?.as_secs_f64() / one?.as_secs_f64())
        };
        Some(Self { rate, low: *rates.first()?, high: *rates.last()?, p50: of(0.5)?, p99: of(0.99)? })
    }
}

pub(crate) fn report_as_text(subjects: &[Subject], seen: Seen) -> String {
    let mut out = String::new();
    if seen.interrupted {
        out.push_str("interrupted: what was measured until then\n");
    }
    // Writing to a `String` cannot fail.
    for Subject { setting, figures, guest_memory, start_memory, .. } in subjects {
        let _ = writeln!(out, "{}", name(setting));
        let calls = figures.answered().calls();
        let _ = writeln!(
            out,
            "  calls     {calls} in {}: {:.0} calls/s",
            short_time(figures.time),
            figures.rate()
        );
        let _ = writeln!(out, "  latency   {}", latency(figures.answered()));
        let errors: Vec<_> =
            figures.errors().iter().map(|(code, number)| format!("{code} {number}")).collect();
        let _ = writeln!(
            out,
            "  errors    {}",
            if errors.is_empty() { "none".into() } else { errors.join(", ") }
        );
        let [guest, start] = [*guest_memory, *start_memory].map(size);
        let _ =
            writeln!(out, "  memory    {guest} of the guest's own; {start} to start {}", instances(setting));
    }
    let [first, peak] = [seen.first, seen.peak].map(size);
    let _ = writeln!(out, "process   {first} resident at first, {peak} at most");
    if subjects.len() > 1 {
        let _ = match Ratio::of(subjects) {
            Some(Ratio { rate, low, high, p50, p99 }) => writeln!(
                out,
                "ratio     {rate:.3} of the first one's calls/s ({low:.3} to {high:.3}), {p50:.3} of its p50, {p99:.3} of its p99"
            ),
            None if seen.interrupted => writeln!(out, "ratio     none: too little was measured"),
            None => writeln!(out, "ratio     none: no call was answered in some turn"),
        };
    }
    out
}

pub(crate) fn report_as_json(args: &BenchArgs, inputs: &Inputs, subjects: &[Subject], seen: Seen) -> String {
    let runs: Vec<_> = subjects.iter().map(run_as_json).collect();
    let ratio = Ratio::of(subjects).map(|Ratio { rate, low, high, p50, p99 }| {
        json!({ "calls_per_second": rate, "lowest": low, "highest": high, "p50": p50, "p99": p99 })
    });
    let report = json!({
        "operation": args.guest.operation,
        "payload_bytes": inputs.payload.len(),
        "duration_ns": nanoseconds(args.duration),
        "interrupted": seen.interrupted,
        "runs": runs,
        "resident": { "first_bytes": seen.first, "peak_bytes": seen.peak },
        "ratio": ratio,
    });
    escape_json(&format!("{report:#}\n"))
}

fn run_as_json(subject: &Subject) -> Value {
    let Subject { setting, figures, guest_memory, start_memory, .. } = subject;
    let answered = figures.answered();
    let mut latency = serde_json::Map::new();
    let [min, mean, max] = answered.range().map_or([None; 3], |range| range.map(Some));
    let quantiles = QUANTILES.map(|(name, part)| (name, answered.quantile(part)));
    for (name, time) in [("min", min), ("mean", mean)].into_iter().chain(quantiles).chain([("max", max)]) {
        latency.insert(name.to_owned(), json!(time.map(nanoseconds)));
    }
    json!({
        "module": setting.module.to_string_lossy(),
        "engine": setting.engine.name(),
        "mode": setting.mode.name(),
        "isolation": setting.isolation.name(),
        "concurrency": setting.concurrency,
        "instances": setting.instances(),
        "answered": answered.calls(),
        "errors": figures.errors(),
        "time_ns": nanoseconds(figures.time),
        "calls_per_second": figures.rate(),
        "latency_ns": latency,
        "turns": figures.rates,
        "guest_memory_bytes": guest_memory,
        "start_memory_bytes": start_memory,
    })
}

fn name(setting: &Setting) -> String {
    let module = escape_line(&setting.module.to_string_lossy());
    let Setting { engine, concurrency, .. } = setting;
    let plural = if *concurrency == 1 { "" } else { "s" };
    format!(
        "{module} on {engine}, {}, {}: {concurrency} caller{plural}, {}",
        setting.mode.name(),
        setting.isolation.name(),
        instances(setting)
    )
}

fn instances(setting: &Setting) -> String {
    match setting.instances() {
        1 => "1 instance".into(),
        number => format!("{number} instances"),
    }
}

fn latency(answered: &Latency) -> String {
    let Some([min, mean, max]) = answered.range() else { return "none: nothing was answered".into() };
    let mut out = format!("min {}, mean {}", short_time(min), short_time(mean));
    for (name, part) in QUANTILES {
        let _ = write!(out, ", {name} {}", short_time(answered.quantile(part).unwrap_or_default()));
    }
    let _ = write!(out, ", max {}", short_time(max));
    out
}

fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".into(), |bytes| ByteSize::b(bytes).display().iec().to_string())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Tally;
    use std::ops::ControlFlow;

    /// Turns of one second; `turns` gives the number of calls in each, `time` their milliseconds.
    fn figures(turns: &[u64], time: u64) -> Figures {
        let mut figures = Figures::new().unwrap();
        for calls in turns {
            let tally = Tally::new(1).unwrap();
            for _ in 0..*calls {
                tally.ended(0, Duration::from_millis(time), Ok(Vec::new()));
            }
            figures.add(&tally, Duration::from_secs(1), ControlFlow::Continue(()));
        }
        figures
    }

    #[test]
    fn a_ratio_is_the_median_of_pairs_so_that_one_bad_turn_is_none() {
        let ratio = Ratio::new(&figures(&[10, 10, 10], 1), &figures(&[20, 1, 30], 2)).unwrap();
        assert_eq!((ratio.rate, ratio.low, ratio.high), (2.0, 0.1, 3.0));
        assert!((1.99..2.01).contains(&ratio.p50) && (1.99..2.01).contains(&ratio.p99), "{ratio:?}");
        let even = Ratio::new(&figures(&[10, 10], 1), &figures(&[10, 20], 1)).unwrap();
        assert_eq!(even.rate, 1.5);
    }

    #[test]
    fn there_is_no_ratio_to_nothing() {
        assert_eq!(Ratio::new(&figures(&[10, 10], 1), &figures(&[10, 0], 1)), None);
        assert_eq!(Ratio::new(&figures(&[0, 10], 1), &figures(&[10, 10], 1)), None);
        assert_eq!(Ratio::new(&figures(&[], 1), &figures(&[], 1)), None);
    }

    #[test]
    fn latency_names_what_it_shows() {
        let text = latency(figures(&[10], 2).answered());
        assert!(text.starts_with("min 2.00 ms, mean 2.00 ms, p50 2.00 ms, p90 "), "{text}");
        assert_eq!(latency(figures(&[], 1).answered()), "none: nothing was answered");
        assert_eq!(size(Some(3 << 20)), "3.0 MiB");
    }
}
