//! `antiphon watch`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};

use super::test;
use crate::args::{ErrorFormat, TestedArgs, WatchArgs};
use crate::cases::Cases;
use crate::failure::Failure;
use crate::run;
use crate::terminal::{self, Report};

/// How often the files are looked at. Looking, unlike being told by the system, works on every file system, and two files
/// cost nothing to look at.
const PERIOD: Duration = Duration::from_millis(200);

/// Runs the cases, then again whenever the module or the cases change, until the program is ended.
pub(crate) fn run(args: &WatchArgs) -> Result<ExitCode, Failure> {
    run::ensure_available(args.tested.engine)?;
    let mut seen = None;
    loop {
        let now = stamps(&args.tested);
        if seen.as_ref() == Some(&now) {
            thread::sleep(PERIOD);
            continue;
        }
        // A compiler writes a module in pieces: it is run when it has not changed for a while.
        thread::sleep(PERIOD);
        if stamps(&args.tested) == now {
            once(args)?;
            seen = Some(now);
        }
    }
}

/// Runs the cases once. What fails is said, and waits for the next change: a module may be half written, or wrong.
fn once(args: &WatchArgs) -> Result<(), Failure> {
    let ran = Cases::load(&args.tested.cases).and_then(|(cases, _)| {
        let ran = test::run_all(&args.tested, &cases)?;
        Ok(test::report(&ran))
    });
    match ran {
        Ok(report) => terminal::write(format!("{report}\n").as_bytes()),
        Err(failure) => {
            Report::new(&failure).print(ErrorFormat::Text);
            Ok(())
        }
    }
}

/// What changes when a file does; `None` where there is none.
type Stamp = Option<(u64, SystemTime)>;

fn stamps(args: &TestedArgs) -> [Stamp; 2] {
    let stamp = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.len(), found.modified().ok()?))
    };
    [stamp(&args.module), stamp(&args.cases)]
}
