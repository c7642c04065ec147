//! `antiphon bench`.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::args::{BenchArgs, Format};
use crate::bench::{
    Interrupt, PeakMemory, Seen, Setting, Subject, Tally, end_interrupted, per_second, report_as_json,
    report_as_text, resident_memory, short_time,
};
use crate::failure::Failure;
use crate::run::{self, Inputs};
use crate::terminal::{self, LiveLine, escape_line};

/// How long one turn of a subject lasts, when two take turns. Short, so that other load on the
/// machine affects both subjects alike.
const TURN: Duration = Duration::from_millis(250);
/// The most turns of one subject. Without a bound, a benchmark of a day would report a huge list
/// of turns.
const TURNS: u32 = 1_000;
/// The longest warm-up. It lasts a tenth of the duration where that is shorter.
const WARM_UP: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let one = Setting::new(args);
    let other = args.compare.as_ref().map(|changes| one.with(changes));
    let settings: Vec<_> = [Some(one), other].into_iter().flatten().collect();
    settings.iter().try_for_each(|setting| run::ensure_available(setting.engine))?;
    if let Some(time) = args.payload_like_a_duration() {
        let time = escape_line(time);
        terminal::note(&format!(
            "the payload of each call is the text '{time}'; to measure for that time, say --duration {time}"
        ));
    }
    let inputs = Inputs::load(&args.guest)?;
    let mut subjects = settings
        .into_iter()
        .map(|setting| Subject::start(setting, args, &inputs))
        .collect::<Result<Vec<_>, _>>()?;

    let seen = measure(args.duration, &mut subjects)?;
    let report = if args.format == Format::Json {
        report_as_json(args, &inputs, &subjects, seen)
    } else {
        report_as_text(&subjects, seen)
    };
    terminal::write(report.as_bytes())?;
    if seen.interrupted {
        end_interrupted();
    }
    // A subject all of whose calls failed measured nothing: the command fails with its first
    // error.
    let failures = subjects.into_iter().map(|subject| subject.end().take_failure());
    match failures.collect::<Vec<_>>().into_iter().flatten().next() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Lets every subject call for the whole duration: a single one in one go, two of them in turns.
/// Ctrl-C breaks off the current turn.
///
/// Two runs one after the other would measure the machine at two different times. The subjects
/// take turns instead, so both see the same drift.
fn measure(duration: Duration, subjects: &mut [Subject]) -> Result<Seen, Failure> {
    let line = LiveLine::new();
    let (first, mut peak) = (resident_memory(), PeakMemory::default());
    line.show(|| "warming up".into());
    for subject in &mut *subjects {
        subject.warm_up(WARM_UP.min(duration / 10))?;
    }
    let turns = turns(duration, subjects.len());
    // Ctrl-C is caught only from here on. Before this point there is nothing to report, so it ends
    // the program.
    let interrupt = Interrupt::expect()?;
    'turns: for number in 0..turns {
        let mut look = |setting: &Setting, tally: &Tally, elapsed: Duration| {
            peak.look();
            line.show(|| glance(setting, tally, (elapsed, duration / turns * number, duration)));
            if interrupt.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // The two alternate in going first, so that a machine that slowly speeds up or slows down
        // affects both alike.
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

/// Returns how many turns each subject gets. A single subject has nothing to alternate with: one
/// turn.
fn turns(duration: Duration, subjects: usize) -> u32 {
    if subjects < 2 {
        return 1;
    }
    let turns = duration.as_millis() / TURN.as_millis().max(1);
    u32::try_from(turns).unwrap_or(TURNS).clamp(2, TURNS)
}

/// Returns the progress line during a turn: the time of this turn so far, the time of earlier
/// turns, the whole duration.
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
