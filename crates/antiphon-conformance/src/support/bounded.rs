//! The bound around every hostile case: how long it may take, and how much memory the process may take up meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use super::slack;

/// What a hostile case may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    time: Duration,
    /// Bytes of resident memory, beyond what was resident before.
    memory: u64,
}

impl Bound {
    /// Five seconds, and the default memory of two guests with room for the engine that compiles them.
    pub(crate) const DEFAULT: Self = Self::new(Duration::from_secs(5), 192 << 20);

    pub(crate) const fn new(time: Duration, memory: u64) -> Self {
        Self { time, memory }
    }

    /// Runs something on a thread of its own, and says what became of it: what the thread ended with, or how it went
    /// over the bound. One that does not end is left behind.
    pub(crate) fn run<T: Send + 'static>(
        self,
        name: String,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<thread::Result<T>, String> {
        let peak = (self.memory < u64::MAX).then(Peak::start).flatten();
        let (ended, end) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name(name).spawn(move || {
            // Dropped at the end, and by a panic.
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
            // A failed expectation says more than what it cost.
            Some(grown) if grown > self.memory && result.is_ok() => {
                Err(format!("took {grown} bytes of memory, more than its bound of {}", self.memory))
            }
            _ => Ok(result),
        }
    }
}

/// The peak of the process's resident memory since a moment. There is one for the whole process, so one at a time.
struct Peak {
    /// Bytes that were resident at that moment.
    start: u64,
    _turn: MutexGuard<'static, ()>,
}

impl Peak {
    /// From now on. `None` where the system does not tell.
    fn start() -> Option<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Self { start: resident::forget_peak()?, _turn: turn })
    }

    /// How much more was resident since, in bytes.
    fn grown(&self) -> Option<u64> {
        Some(resident::peak()?.saturating_sub(self.start))
    }
}

#[cfg(target_os = "linux")]
mod resident {
    use std::fs;

    /// Lowers the peak to what is resident now, which it returns.
    pub(super) fn forget_peak() -> Option<u64> {
        fs::write("/proc/self/clear_refs", "5").ok()?;
        status("VmRSS:")
    }

    pub(super) fn peak() -> Option<u64> {
        status("VmHWM:")
    }

    /// A field of the process's status, in bytes.
    fn status(field: &str) -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }
}

/// Elsewhere the bound of memory is left out.
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

    /// Takes up memory for a moment, and gives all of it back.
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
