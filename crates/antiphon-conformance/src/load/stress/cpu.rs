//! Sets the processors that this process and its threads may use. Linux only; other systems skip
//! the cases that need it.

#[cfg(target_os = "linux")]
pub(super) use linux::*;
#[cfg(not(target_os = "linux"))]
pub(super) use others::*;

#[cfg(target_os = "linux")]
mod linux {
    use std::process::{Command, Stdio};
    use std::{env, fs};

    use libtest_mimic::Failed;
    use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

    /// Tells a process that the suite starts to keep to one processor.
    const ONE_CPU: &str = "ANTIPHON_STRESS_ONE_CPU";

    /// Keeps this thread, and every thread that it starts, to one processor, if the process was
    /// started with [`ONE_CPU`]. Returns whether it was.
    pub(in crate::load::stress) fn restrict_if_asked() -> bool {
        let asked = env::var_os(ONE_CPU).is_some();
        if asked {
            let first = *allowed().first().expect("a processor that this runs on");
            keep_to(None, first);
        }
        asked
    }

    pub(in crate::load::stress) fn cannot_restrict() -> Option<&'static str> {
        None
    }

    pub(in crate::load::stress) fn cannot_separate() -> Option<&'static str> {
        (allowed().len() < 2).then_some("it takes two processors, one of them for the ticker alone")
    }

    /// Runs one test of this program in another process, on one processor, and prints its figures.
    pub(in crate::load::stress) fn run_on_one(test: &str) -> Result<(), Failed> {
        let output = Command::new(env::current_exe()?)
            .args([test, "--exact"])
            .env(ONE_CPU, "1")
            .stdin(Stdio::null())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        for line in text.lines().filter(|line| line.starts_with("    ")) {
            println!("{line}");
        }
        if output.status.success() && text.contains("1 passed") {
            return Ok(());
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(format!("on one processor, {}:\n{text}\n{errors}", output.status).into())
    }

    /// Returns the processors that this thread may use.
    pub(in crate::load::stress) fn allowed() -> Vec<usize> {
        let set = sched_getaffinity(None).expect("the processors of this thread");
        (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
    }

    /// Keeps a thread to one processor; `None` stands for this thread.
    pub(in crate::load::stress) fn keep_to(thread: Option<Thread>, cpu: usize) {
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(thread.map(|thread| thread.0), &set).expect("a processor that is allowed");
    }

    /// A thread of this process, by the name that it was started with.
    #[derive(Clone, Copy)]
    pub(in crate::load::stress) struct Thread(Pid);

    impl Thread {
        pub(in crate::load::stress) fn named(name: &str) -> Option<Self> {
            for entry in fs::read_dir("/proc/self/task").ok()?.flatten() {
                let own = fs::read_to_string(entry.path().join("comm"));
                if own.is_ok_and(|own| own.trim_end() == name) {
                    let id = entry.file_name().to_str()?.parse().ok()?;
                    return Pid::from_raw(id).map(Self);
                }
            }
            None
        }

        /// Gives the thread all processors of the calling thread again.
        pub(in crate::load::stress) fn release(self) {
            let set = sched_getaffinity(None).expect("the processors of this thread");
            sched_setaffinity(Some(self.0), &set).expect("processors that are allowed");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod others {
    use libtest_mimic::Failed;

    const LINUX_ONLY: &str = "threads are kept to a processor on Linux only";

    pub(in crate::load::stress) fn restrict_if_asked() -> bool {
        false
    }

    pub(in crate::load::stress) fn cannot_restrict() -> Option<&'static str> {
        Some(LINUX_ONLY)
    }

    pub(in crate::load::stress) fn cannot_separate() -> Option<&'static str> {
        Some(LINUX_ONLY)
    }

    pub(in crate::load::stress) fn run_on_one(_: &str) -> Result<(), Failed> {
        Err(LINUX_ONLY.into())
    }
}
