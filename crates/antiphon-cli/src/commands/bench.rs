//! `antiphon bench`.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::args::bench::BenchArgs;
use crate::bench::interrupt::{self, Interrupt};
use crate::bench::latency::{per_second, short};
use crate::bench::report::{self as bench_report, Ratio};
use crate::bench::resident::{self, Peak};
use crate::bench::subject::{Contender, Setting};
use crate::bench::tally::Tally;
use crate::failure::Failure;
use crate::run::engine;
use crate::run::inputs::Inputs;
use crate::terminal::live_line::LiveLine;
use crate::terminal::output;

/// How long two contenders take turns: short enough that what else the machine does meets both alike.
const TURN: Duration = Duration::from_millis(250);
/// The most turns of each, so that a day's benchmark is no list of turns.
const TURNS: u32 = 1_000;
/// How long is warmed up at most; a tenth of the duration otherwise.
const WARM_UP: Duration = Duration::from_millis(500);

/// What was seen of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Its memory, in bytes; known on Linux only.
    pub(crate) first: Option<u64>,
    pub(crate) peak: Option<u64>,
    /// Whether it was interrupted before the time was over.
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
    // Where every call failed, there is nothing that was measured.
    let failures = contenders.into_iter().map(|contender| contender.end().take_failure());
    match failures.collect::<Vec<_>>().into_iter().flatten().next() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Lets the contenders call, each for the duration: one at once, two in turns. Ctrl-C breaks off the turn that runs.
fn measure(duration: Duration, contenders: &mut [Contender]) -> Result<Seen, Failure> {
    let line = LiveLine::new();
    let (first, mut peak) = (resident::now(), Peak::default());
    line.show(|| "warming up".into());
    for contender in &mut *contenders {
        contender.warm_up(WARM_UP.min(duration / 10))?;
    }
    let turns = turns(duration, contenders.len());
    // Not before: until now there is nothing to report.
    let interrupt = Interrupt::expect()?;
    'turns: for number in 0..turns {
        let mut look = |setting: &Setting, tally: &Tally, elapsed: Duration| {
            peak.look();
            line.show(|| glance(setting, tally, (elapsed, duration / turns * number, duration)));
            if interrupt.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // The first of a pair is now this one, now the other: what gets faster or slower meets both alike.
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

/// How many turns each contender gets: one that is alone needs no more than one.
fn turns(duration: Duration, contenders: usize) -> u32 {
    if contenders < 2 {
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
    let past = short(before.saturating_add(elapsed));
    format!("{past} of {}: {engine}, {rate:.0} calls/s, {failed} errors", short(duration))
}

impl Ratio {
    /// The second contender against the first.
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
