//! What the machine or the process can lack.

use std::fmt;

/// Something that the machine or the process has too little of, or does not allow at all.
///
/// Engines name it in [`Error::out_of_resources`](super::Error::out_of_resources).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// Memory, address space, or mappings.
    Memory,
    /// Memory that code can be run from, where the system forbids making any.
    ExecutableMemory,
    /// Open files.
    Files,
    /// Threads.
    Threads,
}

impl Resource {
    /// Returns what the operator of the program can do about it.
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::Memory => {
                "raise the limit on address space (`ulimit -v`), on mappings (`vm.max_map_count`) or on the memory of \
                 the control group, or run fewer instances at once"
            }
            Self::ExecutableMemory => {
                "allow it (`MemoryDenyWriteExecute` in systemd, `execmem` in SELinux), or use an engine that makes no \
                 machine code, such as wasmi"
            }
            Self::Files => "raise the limit on open files (`ulimit -n`)",
            Self::Threads => {
                "raise the limit on processes and threads (`ulimit -u`, `pids.max` of the control group) or on \
                 address space (`ulimit -v`)"
            }
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::ExecutableMemory => "executable memory",
            Self::Files => "a file",
            Self::Threads => "a thread",
        })
    }
}
