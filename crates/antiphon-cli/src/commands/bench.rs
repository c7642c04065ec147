//! `antiphon bench`.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::args::BenchArgs;
use crate::bench::{
    Interrupt, PeakMemory, Seen, Setting, Subject, Tally, end_interrupted, per_second, report_as_json,
    report_as_text, resident_memory, short_time,
};
use crate::failure::Failure;
use crate::run::{self, Inputs};
use crate::terminal::{self, LiveLine};

/// How long two subjects take turns: short enough that what else the machine does meets both alike.
const TURN: Duration = Duration::from_millis(250);
/// The most turns of each, so that a day's benchmark is no list of turns.
const TURNS: u32 = 1_000;
/// How long is warmed up at most; a tenth of the duration otherwise.
const WARM_UP: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let one = Setting::new(args);
    let other = args.compare.as_ref().map(|changes| one.with(changes));
    let settings: Vec<_> = [Some(one), other].into_iter().flatten().collect();
    settings.iter().try_for_each(|setting| run::ensure_available(setting.engine))?;
    let inputs = Inputs::load(&args.guest)?;
    let mut subjects = settings
        .into_iter()
        .map(|setting| Subject::start(setting, args, &inputs))
        .collect::<Result<Vec<_>, _>>()?;

    let seen = measure(args.duration, &mut subjects)?;
    let report = if args.json {
        report_as_json(args, &inputs, &subjects, seen)
    } else {
        report_as_text(&subjects, seen)
    };
    terminal::write(report.as_bytes())?;
    if seen.interrupted {
        end_interrupted();
    }
    // Where every call failed, there is nothing that was measured.
    let failures = subjects.into_iter().map(|subject| subject.end().take_failure());
    match failures.collect::<Vec<_>>().into_iter().flatten().next() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Lets the subjects call, each for the duration: one at once, two in turns. Ctrl-C breaks off the turn that runs.
fn measure(duration: Duration, subjects: &mut [Subject]) -> Result<Seen, Failure> {
    let line = LiveLine::new();
    let (first, mut peak) = (resident_memory(), PeakMemory::default());
    line.show(|| "warming up".into());
    for subject in &mut *subjects {
        subject.warm_up(WARM_UP.min(duration / 10))?;
    }
    let turns = turns(duration, subjects.len());
    // Not before: until now there is nothing to report.
    let interrupt = Interrupt::expect()?;
    'turns: for number in 0..turns {
        let mut look = |setting: &Setting, tally: &Tally, elapsed: Duration| {
            peak.look();
            line.show(|| glance(setting, tally, (elapsed, duration / turns * number, duration)));
            if interrupt.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // The first of a pair is now this one, now the other: what gets faster or slower meets both alike.
        let pair: &mut dyn Iterator<Item = &mut Subject> =
            if number % 2 == 0 { &mut subjects.iter_mut() } else { &mut subjects.iter_mut().rev() };
        for subject in pair {
            if subject.turn(duration / turns, &mut look)?.is_break() {
                break 'turns;
            }
        }
    }
    Ok(Seen { first, peak: peak.bytes(), interrupted: interrupt.came() })
}

/// How many turns each subject gets: one that is alone needs no more than one.
fn turns(duration: Duration, subjects: usize) -> u32 {
    if subjects < 2 {
        return 1;
    }
    let turns = duration.as_millis() / TURN.as_millis().max(1);
    u32::try_from(turns).unwrap_or(TURNS).clamp(2, TURNS)
}

/// The line that is shown while a turn runs, with the time of this turn, of those before, and of all.
fn glance(
    setting: &Setting,
    tally: &Tally,
    (elapsed, before, duration): (Duration, Duration, Duration),
) -> String {
    let [answered, failed] = tally.glance();
    let (engine, rate) = (setting.engine, per_second(answered, elapsed));
    let past = short_time(before.saturating_add(elapsed));
    format!("{past} of {}: {engine}, {rate:.0} calls/s, {failed} errors", short_time(duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_take_turns_and_one_does_not() {
        assert_eq!(turns(Duration::from_secs(10), 1), 1);
        assert_eq!(turns(Duration::from_secs(10), 2), 40);
        assert_eq!(turns(Duration::from_millis(10), 2), 2);
        assert_eq!(turns(Duration::MAX, 2), TURNS);
    }
}
