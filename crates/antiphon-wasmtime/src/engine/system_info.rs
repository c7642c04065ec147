//! Facts about the machine, as its system reports them, and its errors. A fact that is not reported
//! is `None`, and the worse case is assumed.

use std::error::Error;

use antiphon::errors::Resource;

/// The facts that decide how instances are pooled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SystemInfo {
    /// The version of the Linux kernel: major, minor.
    pub(super) kernel: Option<(u32, u32)>,
    /// Whether a page can be swapped out.
    pub(super) swaps: Option<bool>,
    /// Whether the kernel can move a page to another place in memory.
    pub(super) migrates: Option<bool>,
    /// How many mappings a process may have.
    pub(super) max_mappings: Option<u64>,
    /// How much address space this process may have, in bytes, if that is limited.
    pub(super) address_space: Option<u64>,
    /// The size of memory in bytes.
    pub(super) memory: Option<u64>,
}

impl SystemInfo {
    /// Reads the facts of this machine.
    pub(super) fn this() -> Self {
        if cfg!(target_os = "linux") {
            Self::read(|path| std::fs::read_to_string(path).ok())
        } else {
            Self::default()
        }
    }

    fn read(file: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            kernel: file("/proc/sys/kernel/osrelease").and_then(|release| kernel(&release)),
            // A line of headings, and then one line for each swap device.
            swaps: file("/proc/swaps")
                .filter(|swaps| swaps.starts_with("Filename"))
                .map(|swaps| swaps.trim_end().lines().count() > 1),
            // A kernel that cannot move pages does not count how many it moved.
            migrates: file("/proc/vmstat")
                .filter(|counts| counts.starts_with("nr_"))
                .map(|counts| counts.contains("pgmigrate")),
            max_mappings: file("/proc/sys/vm/max_map_count").and_then(|count| count.trim().parse().ok()),
            address_space: file("/proc/self/limits")
                .and_then(|limits| number_after(&limits, "Max address space")),
            memory: memory(&file),
        }
    }

    /// Returns how much address space this process may have, in bytes, if that is limited.
    pub(super) fn address_space_limit() -> Option<u64> {
        system::address_space_limit()
    }

    /// Returns whether the kernel's scan for written pages finds all of them.
    ///
    /// Wasmtime 48 cleans a slot by a scan for written pages that are present. The scan misses a
    /// written page that is swapped out, or that is moving to another place in memory at that
    /// moment. Such a page keeps its bytes for the next instance in the slot. Compaction alone
    /// causes this: with swap off, some of 100,000 calls that ran beside it read what was there
    /// before. So pages are scanned only where none can be missed. Most kernels move pages; there,
    /// slots go back to the kernel in batches.
    pub(super) fn scans_pages_safely(&self) -> bool {
        let has_scan = self.kernel.is_some_and(|version| version >= (6, 7));
        has_scan && self.swaps == Some(false) && self.migrates == Some(false)
    }
}

/// Returns what the machine lacks, if that is what an error of the system says.
pub(crate) fn lacked(error: &(dyn Error + 'static)) -> Option<Resource> {
    system::lacked(error)
}

#[cfg(unix)]
mod system {
    use std::error::Error;
    use std::io;

    use antiphon::errors::Resource;
    use rustix::io::Errno;
    use rustix::process::{Resource as Limited, getrlimit};

    pub(super) fn address_space_limit() -> Option<u64> {
        getrlimit(Limited::As).current
    }

    pub(super) fn lacked(error: &(dyn Error + 'static)) -> Option<Resource> {
        let raw = error.downcast_ref::<Errno>().copied();
        let errno = raw.or_else(|| Errno::from_io_error(error.downcast_ref::<io::Error>()?))?;
        Some(match errno {
            Errno::NOMEM | Errno::AGAIN => Resource::Memory,
            Errno::MFILE | Errno::NFILE => Resource::Files,
            // Wasmtime maps and protects memory through rustix, which returns the bare number.
            // Files go through std: an `io::Error` says that one of them is forbidden.
            Errno::PERM | Errno::ACCESS if raw.is_some() => Resource::ExecutableMemory,
            _ => return None,
        })
    }
}

#[cfg(not(unix))]
mod system {
    use std::error::Error;
    use std::io;

    use antiphon::errors::Resource;

    pub(super) fn address_space_limit() -> Option<u64> {
        None
    }

    pub(super) fn lacked(error: &(dyn Error + 'static)) -> Option<Resource> {
        let kind = error.downcast_ref::<io::Error>()?.kind();
        (kind == io::ErrorKind::OutOfMemory).then_some(Resource::Memory)
    }
}

/// Parses the first two numbers of a release such as `6.12.3-generic`.
fn kernel(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.trim().split(|char: char| !char.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Returns the memory of the machine, or of the control group if that is less.
fn memory(file: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let kibibytes = number_after(&file("/proc/meminfo")?, "MemTotal:")?;
    let total = kibibytes.checked_mul(1024)?;
    let group = file("/sys/fs/cgroup/memory.max").and_then(|max| max.trim().parse().ok());
    Some(group.map_or(total, |group: u64| group.min(total)))
}

/// Returns the number that follows a name at the start of a line.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_SWAP: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
    const SWAP: &str =
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/zram0  partition\t8388604\t\t0\t\t100\n";
    const IMMOVABLE: &str = "nr_free_pages 1\npgfault 2\n";
    const MOVABLE: &str = "nr_free_pages 1\npgmigrate_success 0\n";

    /// Returns a machine with these files, each a path and its text.
    fn system(files: &[(&str, &str)]) -> SystemInfo {
        SystemInfo::read(|path| {
            files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
        })
    }

    fn scans(release: &str, swaps: &str, vmstat: &str) -> bool {
        system(&[("/proc/sys/kernel/osrelease", release), ("/proc/swaps", swaps), ("/proc/vmstat", vmstat)])
            .scans_pages_safely()
    }

    #[test]
    fn pages_are_scanned_where_none_can_be_missed_and_nowhere_else() {
        assert!(scans("6.7.0-generic\n", NO_SWAP, IMMOVABLE));
        assert!(scans("7.0\n", NO_SWAP, IMMOVABLE));
        for release in
            ["6.6.99\n", "5.15.0-105-generic\n", "", "six.seven", "6", "6.", "99999999999.7", "-6.7"]
        {
            assert!(!scans(release, NO_SWAP, IMMOVABLE), "{release:?}");
        }
        for swaps in [SWAP, "", "garbage", "\n\n"] {
            assert!(!scans("6.7.0", swaps, IMMOVABLE), "{swaps:?}");
        }
        for vmstat in [MOVABLE, "", "garbage"] {
            assert!(!scans("6.7.0", NO_SWAP, vmstat), "{vmstat:?}");
        }
        assert!(!SystemInfo::default().scans_pages_safely(), "a machine that says nothing");
    }

    #[test]
    fn limits_are_read_where_there_are_any() {
        let system = system(&[
            ("/proc/sys/vm/max_map_count", "65530\n"),
            ("/proc/self/limits", "Limit  Soft Limit\nMax address space  1000  unlimited  bytes\n"),
            ("/proc/meminfo", "MemTotal:       4 kB\nMemFree: 1 kB\n"),
            ("/sys/fs/cgroup/memory.max", "2048\n"),
        ]);
        assert_eq!(system.max_mappings, Some(65_530));
        assert_eq!((system.address_space, system.memory), (Some(1_000), Some(2_048)));
    }

    #[test]
    fn no_limit_is_no_number() {
        let system = system(&[
            ("/proc/sys/vm/max_map_count", "many"),
            ("/proc/self/limits", "Max address space  unlimited  unlimited  bytes\n"),
            ("/proc/meminfo", "MemTotal:       4 kB\n"),
            ("/sys/fs/cgroup/memory.max", "max\n"),
        ]);
        assert_eq!((system.max_mappings, system.address_space), (None, None));
        assert_eq!(system.memory, Some(4_096));
    }

    #[cfg(unix)]
    #[test]
    fn an_error_of_the_system_is_found_behind_what_was_said_of_it() {
        use antiphon::errors::ErrorKind;
        use rustix::io::Errno;

        use crate::engine::{lacked, shortage};

        let deep = |error: wasmtime::Error| error.context("inner").context("outer");
        for (errno, resource) in [
            (Errno::NOMEM, Resource::Memory),
            (Errno::MFILE, Resource::Files),
            (Errno::NFILE, Resource::Files),
            (Errno::ACCESS, Resource::ExecutableMemory),
            (Errno::PERM, Resource::ExecutableMemory),
        ] {
            let of_a_file = wasmtime::Error::from(std::io::Error::from(errno));
            let mut forms = vec![deep(errno.into()), errno.into()];
            if resource == Resource::ExecutableMemory {
                assert_eq!(lacked(&deep(of_a_file)), None, "a file that is forbidden");
            } else {
                forms.push(deep(of_a_file));
            }
            for error in forms {
                assert_eq!(lacked(&error), Some(resource));
                let error = shortage(error, "a test").unwrap();
                assert_eq!(error.kind(), ErrorKind::OutOfResources);
                assert!(error.message().starts_with(&format!("the system refused {resource} for a test: ")));
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_says_what_it_is() {
        let system = SystemInfo::this();
        assert!(system.kernel.is_some() && system.max_mappings.is_some() && system.memory.is_some());
    }
}
