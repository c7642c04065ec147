//! The bound of every hostile case: its time, and how much memory the process may take up during
//! it.

use std::sync::{Mutex, MutexGuard, mpsc};
use std::thread;
use std::time::Duration;

use super::{lock, slack};

/// The time and memory that a hostile case may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    time: Duration,
    /// Bytes of resident memory, beyond what was resident before the case.
    memory: u64,
}

impl Bound {
    /// Five seconds, and the default memory of two guests with room for the engine that compiles
    /// them.
    pub(crate) const DEFAULT: Self = Self::new(Duration::from_secs(5), 192 << 20);

    pub(crate) const fn new(time: Duration, memory: u64) -> Self {
        Self { time, memory }
    }

    /// Runs `run` on a thread of its own. Returns the thread's result, or the bound that it
    /// exceeded. A thread that does not end is left behind.
    pub(crate) fn run<T: Send + 'static>(
        self,
        name: String,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<thread::Result<T>, String> {
        let peak = (self.memory < u64::MAX).then(Peak::start).flatten();
        let (ended, end) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name(name).spawn(move || {
            // The guard reports the end of the thread, by a panic as well.
            let _ended = ended;
            run()
        });
        let thread = thread.map_err(|error| error.to_string())?;
        let patience = self.time + slack();
        if end.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
            return Err(format!("did not end within its bound of {:?}", self.time));
        }
        let result = thread.join();
        match peak.and_then(|peak| peak.grown()) {
            // A failed expectation is the more useful report, so it wins over the cost.
            Some(grown) if grown > self.memory && result.is_ok() => {
                Err(format!("took {grown} bytes of memory, more than its bound of {}", self.memory))
            }
            _ => Ok(result),
        }
    }
}

/// The peak of the process's resident memory since `start`. The kernel keeps one peak for a
/// process, so only one `Peak` exists at a time.
struct Peak {
    /// Bytes that were resident at the start.
    start: u64,
    _turn: MutexGuard<'static, ()>,
}

impl Peak {
    /// Starts measuring; `None` where the system does not report memory.
    fn start() -> Option<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = lock(&TURN);
        Some(Self { start: resident::forget_peak()?, _turn: turn })
    }

    /// Returns how far resident memory has risen above the start, in bytes.
    fn grown(&self) -> Option<u64> {
        Some(resident::peak()?.saturating_sub(self.start))
    }
}

#[cfg(target_os = "linux")]
mod resident {
    use std::fs;

    /// Resets the peak to what is resident now, and returns that.
    pub(super) fn forget_peak() -> Option<u64> {
        fs::write("/proc/self/clear_refs", "5").ok()?;
        status("VmRSS:")
    }

    pub(super) fn peak() -> Option<u64> {
        status("VmHWM:")
    }

    /// Reads a field of the process's status, in bytes.
    fn status(field: &str) -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }
}

/// Other systems do not report the peak; there the bound of memory is not checked.
#[cfg(not(target_os = "linux"))]
mod resident {
    pub(super) fn forget_peak() -> Option<u64> {
        None
    }

    pub(super) fn peak() -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Allocates memory for a moment and frees all of it.
    fn allocate(bytes: u64) -> impl FnOnce() -> u8 + Send + 'static {
        move || std::hint::black_box(vec![1u8; bytes as usize])[7]
    }

    #[test]
    fn who_stays_within_the_bound_passes() {
        let bound = Bound::new(Duration::from_secs(60), 1 << 40);
        assert!(matches!(bound.run("t".into(), allocate(MIB)), Ok(Ok(1))));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn who_takes_more_memory_fails_also_after_giving_it_back() {
        let bound = Bound::new(Duration::from_secs(60), 32 * MIB);
        let error = bound.run("t".into(), allocate(96 * MIB)).expect_err("a failure");
        assert!(error.contains("more than its bound of 33554432"), "{error}");
    }

    #[test]
    fn who_does_not_end_in_time_fails() {
        let bound = Bound::new(Duration::from_millis(20), 1 << 40);
        let (release, wait) = mpsc::channel::<()>();
        let error = bound.run("t".into(), move || wait.recv()).expect_err("a failure");
        assert!(error.contains("did not end within its bound of 20ms"), "{error}");
        drop(release);
    }

    #[test]
    fn a_panic_is_not_hidden_by_the_bound() {
        let bound = Bound::new(Duration::from_secs(60), 0);
        let result = bound.run("t".into(), || {
            allocate(96 * MIB)();
            crate::support::panic_quietly("as expected")
        });
        assert!(result.is_ok_and(|result: Result<(), _>| result.is_err()));
    }
}
