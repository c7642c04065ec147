//! How much memory this process holds.

/// Returns resident memory in bytes; known on Linux only.
pub(crate) fn resident_memory() -> Option<u64> {
    of_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The highest resident memory that was observed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeakMemory(Option<u64>);

impl PeakMemory {
    pub(crate) fn look(&mut self) {
        self.0 = self.0.max(resident_memory());
    }

    pub(crate) fn bytes(self) -> Option<u64> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_read_with_its_unit() {
        assert_eq!(of_status("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n"), Some(2 << 20));
        assert_eq!(of_status("VmRSS:\t many\n"), None);
        assert_eq!(of_status(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_holds_something() {
        assert!(resident_memory().unwrap() > 1 << 16);
    }
}
