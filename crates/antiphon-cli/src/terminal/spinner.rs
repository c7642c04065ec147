//! Shows a spinner during long work.

use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;

use super::messages;
use crate::args::ErrorFormat;

/// Work that takes longer gets a spinner.
const PATIENCE: Duration = Duration::from_millis(300);
/// The time between two frames of the spinner.
const FRAME: Duration = Duration::from_millis(100);

/// Does some work. If it takes long and standard error is a terminal, a spinner is shown.
pub(crate) fn with_spinner<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    if messages::format() == ErrorFormat::Json || !std::io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        // Dropped when the work ends, even by a panic; that stops the spinner.
        let (_working, over) = mpsc::channel::<()>();
        // If the thread cannot start, the work runs without a spinner.
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            if over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let bar = ProgressBar::new_spinner().with_message(what);
                bar.enable_steady_tick(FRAME);
                let _ = over.recv();
                bar.finish_and_clear();
            }
        });
        work()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_done_and_its_result_comes_back() {
        assert_eq!(with_spinner("testing", || 7), 7);
    }
}
