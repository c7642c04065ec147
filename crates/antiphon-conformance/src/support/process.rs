//! The resources of the system that this process holds.

use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

/// A count of what may leak. Known on Linux only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    pub(crate) files: usize,
    pub(crate) threads: usize,
    pub(crate) mappings: usize,
}

impl Process {
    pub(crate) fn now() -> Option<Self> {
        let pages: u64 =
            fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
        let entries = |dir| Some(fs::read_dir(dir).ok()?.count());
        Some(Self {
            resident: pages * 4096,
            files: entries("/proc/self/fd")?,
            threads: entries("/proc/self/task")?,
            mappings: fs::read_to_string("/proc/self/maps").ok()?.lines().count(),
        })
    }

    /// Counts once the number of threads is stable, or after five seconds. The system lists a
    /// joined thread for a moment longer, and a thread that still compiles takes longer to end.
    pub(crate) fn settled() -> Option<Self> {
        let patience = Instant::now() + Duration::from_secs(5);
        let mut last = Self::now()?;
        loop {
            thread::sleep(Duration::from_millis(100));
            let now = Self::now()?;
            if now.threads == last.threads || Instant::now() > patience {
                return Some(now);
            }
            last = now;
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident, files, threads, mappings } = self;
        let kib = resident / 1024;
        write!(f, "{kib} KiB, {files} files, {threads} threads, {mappings} mappings")
    }
}
