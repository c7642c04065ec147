//! `antiphon bench`.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::bench_args::BenchArgs;
use crate::bench_report::{self, Ratio};
use crate::contender::{Contender, Setting};
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::interrupt::{self, Interrupt};
use crate::latency::{per_second, short};
use crate::live_line::LiveLine;
use crate::resident::{self, Peak};
use crate::tally::Tally;
use crate::{engine, output};

/// How long one turn of a contender lasts, when two take turns. Short, so that other load on the
/// machine affects both contenders alike.
const TURN: Duration = Duration::from_millis(250);
/// The most turns of one contender. Without a bound, a benchmark of a day would report a huge list
/// of turns.
const TURNS: u32 = 1_000;
/// The longest warm-up. It lasts a tenth of the duration where that is shorter.
const WARM_UP: Duration = Duration::from_millis(500);

/// What the benchmark observed about its own process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Resident memory before the first call, in bytes; known on Linux only.
    pub(crate) first: Option<u64>,
    pub(crate) peak: Option<u64>,
    /// Whether Ctrl-C ended the benchmark before its time was over.
    pub(crate) interrupted: bool,
}

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let one = Setting::new(args);
    let other = args.compare.as_ref().map(|rival| one.against(rival));
    let settings: Vec<_> = [Some(one), other].into_iter().flatten().collect();
    settings.iter().try_for_each(|setting| engine::ensure_available(setting.engine))?;
    let inputs = Inputs::load(&args.guest)?;
    let mut contenders = settings
        .into_iter()
        .map(|setting| Contender::start(setting, args, &inputs))
        .collect::<Result<Vec<_>, _>>()?;

    let seen = measure(args.duration, &mut contenders)?;
    let report = if args.json {
        bench_report::json(args, &inputs, &contenders, seen)
    } else {
        bench_report::text(&contenders, seen)
    };
    output::write(report.as_bytes())?;
    if seen.interrupted {
        interrupt::end();
    }
    // A contender all of whose calls failed measured nothing: the command fails with its first
    // error.
    let failures = contenders.into_iter().map(|contender| contender.end().take_failure());
    match failures.collect::<Vec<_>>().into_iter().flatten().next() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Lets every contender call for the whole duration: a single one in one go, two of them in turns.
/// Ctrl-C breaks off the current turn.
///
/// Two runs one after the other would measure the machine at two different times. The contenders
/// take turns instead, so both see the same drift.
fn measure(duration: Duration, contenders: &mut [Contender]) -> Result<Seen, Failure> {
    let line = LiveLine::new();
    let (first, mut peak) = (resident::now(), Peak::default());
    line.show(|| "warming up".into());
    for contender in &mut *contenders {
        contender.warm_up(WARM_UP.min(duration / 10))?;
    }
    let turns = turns(duration, contenders.len());
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
        let pair: &mut dyn Iterator<Item = &mut Contender> =
            if number % 2 == 0 { &mut contenders.iter_mut() } else { &mut contenders.iter_mut().rev() };
        for contender in pair {
            if contender.turn(duration / turns, &mut look)?.is_break() {
                break 'turns;
            }
        }
    }
    Ok(Seen { first, peak: peak.bytes(), interrupted: interrupt.came() })
}

/// How many turns each contender gets. A single contender has nothing to alternate with: one turn.
fn turns(duration: Duration, contenders: usize) -> u32 {
    if contenders < 2 {
        return 1;
    }
    let turns = duration.as_millis() / TURN.as_millis().max(1);
    u32::try_from(turns).unwrap_or(TURNS).clamp(2, TURNS)
}

/// The progress line during a turn: the time of this turn so far, the time of earlier turns, the
/// whole duration.
fn glance(
    setting: &Setting,
    tally: &Tally,
    (elapsed, before, duration): (Duration, Duration, Duration),
) -> String {
    let [answered, failed] = tally.glance();
    let (engine, rate) = (setting.engine, per_second(answered, elapsed));
    let past = short(before.saturating_add(elapsed));
    format!("{past} of {}: {engine}, {rate:.0} calls/s, {failed} errors", short(duration))
}

impl Ratio {
    /// The second contender relative to the first.
    pub(crate) fn of(contenders: &[Contender]) -> Option<Self> {
        let [one, other] = contenders else { return None };
        Self::new(&one.figures, &other.figures)
    }
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
