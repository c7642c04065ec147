//! Ctrl-C while calls are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, process};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::failure::Failure;

/// The exit code that shells give to a program that this signal has ended.
const INTERRUPTED: i32 = 130;

/// Notes the first Ctrl-C. The next one ends the program at once.
#[derive(Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Until now the first one has ended the program as well.
    pub(crate) fn expect() -> Result<Self, Failure> {
        let came = Arc::new(AtomicBool::new(false));
        if is_ignored() {
            return Ok(Self(came));
        }
        // They are run in this order: the other way round, the first signal would find that one had come before it.
        flag::register_conditional_default(SIGINT, Arc::clone(&came))
            .and_then(|_| flag::register(SIGINT, Arc::clone(&came)))
            .map_err(|error| Failure::System("cannot wait for Ctrl-C", error))?;
        Ok(Self(came))
    }

    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether whoever started the program has it ignore Ctrl-C, as shells do with what runs in the background. Only Linux tells.
fn is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (SIGINT - 1)) != 0)
}

impl Drop for Interrupt {
    /// From here on the first one ends the program again.
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ends the program as the signal would have: whoever started it can tell.
pub(crate) fn end_interrupted() -> ! {
    #[cfg(unix)]
    let _ = signal_hook::low_level::emulate_default_handler(SIGINT);
    process::exit(INTERRUPTED)
}
