//! `antiphon watch`.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};

use super::test;
use crate::args::{TestedArgs, WatchArgs};
use crate::cases::Cases;
use crate::failure::Failure;
use crate::run;
use crate::terminal::{self, Report};

/// How often the files are looked at. Polling works on every file system, unlike notifications of
/// the system, and polling two files costs nothing.
const PERIOD: Duration = Duration::from_millis(200);

/// Runs the cases, and again after each change of the module or the cases, until the program is
/// ended.
pub(crate) fn run(args: &WatchArgs) -> Result<ExitCode, Failure> {
    run::ensure_available(args.tested.engine)?;
    if run::is_input(&args.tested.module) {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "only a file can change: name one");
        return Err(Failure::Usage("cannot watch standard input".to_owned(), error));
    }
    let mut seen = None;
    loop {
        let now = stamps(&args.tested);
        if seen.as_ref() == Some(&now) {
            thread::sleep(PERIOD);
            continue;
        }
        // A compiler writes a module in pieces, so the cases run only once it has stopped changing.
        thread::sleep(PERIOD);
        if stamps(&args.tested) == now {
            once(args)?;
            seen = Some(now);
        }
    }
}

/// Runs the cases once. A failure is shown and the watch goes on, because a module may be half
/// written or broken for a moment.
fn once(args: &WatchArgs) -> Result<(), Failure> {
    let limits = args.tested.limits.limits();
    let ran = Cases::load(&args.tested.cases, &limits).and_then(|(cases, _)| {
        let ran = test::run_all(&args.tested, &cases)?;
        Ok(test::summary(&ran, &cases))
    });
    match ran {
        Ok(summary) => terminal::write(format!("{summary}\n").as_bytes()),
        Err(failure) => {
            Report::new(&failure).print(terminal::format());
            Ok(())
        }
    }
}

/// Size and time of a file, which change when the file does; `None` if there is no file.
type Stamp = Option<(u64, SystemTime)>;

fn stamps(args: &TestedArgs) -> [Stamp; 2] {
    let stamp = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.len(), found.modified().ok()?))
    };
    [stamp(&args.module), stamp(&args.cases)]
}
