//! Showing that something takes long.

use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;

/// What takes longer gets a spinner.
const PATIENCE: Duration = Duration::from_millis(300);
/// From one picture of the spinner to the next.
const FRAME: Duration = Duration::from_millis(100);

/// Does some work, with a spinner on standard error if the work takes long and somebody sees it.
pub(crate) fn with_spinner<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        // Dropped when the work is over, also by a panic.
        let (_working, over) = mpsc::channel::<()>();
        // Without a thread the work is done all the same, only unseen.
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
