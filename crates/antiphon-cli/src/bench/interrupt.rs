//! Handles Ctrl-C while calls are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, process};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::failure::Failure;

/// The exit code of shells for a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Records the first Ctrl-C. The next one ends the program at once.
#[derive(Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Starts to catch Ctrl-C. Before this, the first one ends the program too.
    pub(crate) fn expect() -> Result<Self, Failure> {
        let came = Arc::new(AtomicBool::new(false));
        if is_ignored() {
            return Ok(Self(came));
        }
        // Handlers run in the order of registration. The default action comes first: if it came
        // second, the first signal would already see the flag set and end the program.
        flag::register_conditional_default(SIGINT, Arc::clone(&came))
            .and_then(|_| flag::register(SIGINT, Arc::clone(&came)))
            .map_err(|error| Failure::System("cannot wait for Ctrl-C", error))?;
        Ok(Self(came))
    }

    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns whether the program was started with SIGINT ignored, as shells do for background jobs.
/// Known on Linux only.
fn is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (SIGINT - 1)) != 0)
}

impl Drop for Interrupt {
    /// Sets the flag, so that the first Ctrl-C from here on ends the program again.
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ends the program by the signal itself, so that its parent process sees why it ended.
pub(crate) fn end_interrupted() -> ! {
    #[cfg(unix)]
    let _ = signal_hook::low_level::emulate_default_handler(SIGINT);
    process::exit(INTERRUPTED)
}
