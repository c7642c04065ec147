//! Ctrl-C while calls are made.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

impl Drop for Interrupt {
    /// From here on the first one ends the program again.
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ends the program as the signal would have: whoever started it can tell.
pub(crate) fn end() -> ! {
    #[cfg(unix)]
    let _ = signal_hook::low_level::emulate_default_handler(SIGINT);
    process::exit(INTERRUPTED)
}
