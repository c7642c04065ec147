//! Deadlines where the ticker gets no processor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::Request;
use antiphon::errors::ErrorKind;

use super::control::burn;
use super::cpu::{Thread, allowed, keep_to};
use super::deadline::NEEDS;
use super::lateness::{EARLY, Gaps};
use super::{figures, scale};
use crate::suite::{Case, Guest, Mode, Subject, case};
use crate::support::{Latencies, Milliseconds};

pub(super) const TOPIC: &str = "starved";

pub(super) const CASES: &[Case] =
    &[case!(starved::a_ticker_that_is_late_ends_no_call_early).only(&[Mode::Sync]).needs(NEEDS)];

/// Counts down from the number in the payload, which takes a few milliseconds, and answers.
const WORK: &str = r#"
  (func $run (param $op i32) (param $msg i32) (result i32)
    (local $left i32)
    (call $guest_request (i32.const 256) (i32.const 1024))
    (local.set $left (i32.load (i32.const 1024)))
    (loop $again (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $answer (i32.const 1024) (i32.const 4)))
"#;

/// The ticker shares one processor with many threads that burn it. Calls of a few milliseconds,
/// with a somewhat longer deadline, have another processor to themselves.
///
/// The time that a call reads is that of the last tick. If the ticker is late, that time is old,
/// and a deadline counted from it alone would come early and end calls that are in time.
fn a_ticker_that_is_late_ends_no_call_early(subject: &Subject) {
    let cpus = allowed();
    let (crowded, quiet) = (cpus[0], cpus[1]);
    let host = subject.host(Guest::new(WORK));
    let ticker = Thread::named("antiphon-ticker").expect("the ticker's thread");
    let stop = Arc::new(AtomicBool::new(false));
    for burners in [0, 8, 32] {
        stop.store(false, Ordering::Relaxed);
        let burners: Vec<_> = (0..burners)
            .map(|_| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    keep_to(None, crowded);
                    while !stop.load(Ordering::Relaxed) {
                        burn(Instant::now() + Duration::from_millis(5));
                    }
                })
            })
            .collect();
        keep_to(Some(ticker), crowded);
        thread::scope(|scope| {
            scope.spawn(|| {
                keep_to(None, quiet);
                calls(&host, burners.len());
            });
        });
        ticker.release();
        stop.store(true, Ordering::Relaxed);
        for burner in burners {
            burner.join().unwrap();
        }
    }
}

/// Makes calls that take a third of their deadline.
fn calls(host: &crate::suite::Host, burners: usize) {
    const DEADLINE: Duration = Duration::from_millis(12);
    const PATIENCE: Duration = Duration::from_secs(3);

    let rounds: i32 = 100_000;
    let time = || {
        let started = Instant::now();
        host.call("run", &rounds.to_le_bytes()).unwrap();
        started.elapsed()
    };
    // The quickest of several, because any one may have been kept waiting.
    let quickest = (0..20).map(|_| time()).min().unwrap_or(DEADLINE).max(Duration::from_micros(1));
    let rounds = (f64::from(rounds) * (DEADLINE / 3).div_duration_f64(quickest)) as i32;
    let gaps = Gaps::watch();
    let (mut answered, mut early, mut late) = (Latencies::new(), Latencies::new(), 0);
    let begun = Instant::now();
    for _ in 0..100 * scale() {
        // On a busy machine each call takes long, so the time of all calls is bounded.
        if begun.elapsed() > PATIENCE * scale() as u32 {
            break;
        }
        let started = Instant::now();
        let result = host.call_with(Request::new("run", &rounds.to_le_bytes()).deadline(DEADLINE));
        let took = started.elapsed();
        match result {
            Ok(response) => {
                assert_eq!(response.payload, rounds.to_le_bytes());
                answered.record(took);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:#?}");
                if took < DEADLINE {
                    early.record(DEADLINE - took);
                } else {
                    late += 1;
                }
            }
        }
    }
    let gap = gaps.longest();
    figures(format_args!(
        "{burners} burners: {} calls answered in {answered} of {}; {} failed early, by {} at most, {late} late; \
         ticks {} apart",
        answered.count(),
        Milliseconds(DEADLINE),
        early.count(),
        Milliseconds(early.max()),
        Milliseconds(gap),
    ));
    assert!(early.max() <= EARLY, "{:?} early, where ticks were {gap:?} apart", early.max());
}
