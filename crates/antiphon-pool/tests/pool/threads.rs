//! A pool that gets no thread from the system.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use antiphon::errors::ErrorKind;
use antiphon::testing::{TestEngine, TestFactory};
use antiphon_pool::HostPool;

use crate::support;

fn module() -> TestEngine {
    let engine = TestEngine::new().operation("echo", |payload| Ok(payload.to_vec()));
    engine.operation("trap", |_| std::panic::resume_unwind(Box::new("trap")))
}

/// Starts threads until the system refuses one. They end with the process.
fn use_up_threads() {
    while std::thread::Builder::new().spawn(std::thread::park).is_ok() {}
}

/// Run by the test below in a process of its own.
#[test]
#[ignore = "needs a process that may have few threads"]
fn calls_start_their_instances_themselves() {
    let pool =
        HostPool::builder(Arc::new(TestFactory::new(module()))).min(1).max(2).build_blocking().unwrap();
    use_up_threads();
    for round in 0..3 {
        assert_eq!(pool.call_blocking("echo", b"hi").unwrap(), b"hi");
        assert_eq!(pool.call_blocking("trap", b"").unwrap_err().kind(), ErrorKind::Trapped);
        // The instance is gone, and no thread brings it back.
        let begun = std::time::Instant::now();
        assert_eq!(pool.call_blocking("echo", b"hi").unwrap(), b"hi");
        assert!(begun.elapsed() < Duration::from_secs(1), "it waited for {:?}", begun.elapsed());
        assert_eq!(pool.stats().rebuilds, round + 1);
    }
    // A compilation has a thread of its own, which cannot be had either.
    let error = pool.replace_blocking(b"(module)").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReplaceFailed, "{error:#?}");
    let cause = std::error::Error::source(&error).and_then(|source| source.downcast_ref()).unwrap();
    let cause: &antiphon::errors::Error = cause;
    assert_eq!(cause.kind(), ErrorKind::OutOfResources);
    assert_eq!(pool.call_blocking("echo", b"hi").unwrap(), b"hi");
}

/// Run by the test below in a process of its own.
#[test]
#[ignore = "needs a process that may have few threads"]
fn calls_start_their_instances_themselves_while_the_only_thread_hangs() {
    let hang = Arc::new(AtomicBool::new(false));
    let hanging = module().start({
        let hang = Arc::clone(&hang);
        move || {
            while hang.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        }
    });
    let build =
        |engine| HostPool::builder(Arc::new(TestFactory::new(engine))).max(1).build_blocking().unwrap();
    let (hung, healthy) = (build(hanging), build(module()));
    hang.store(true, Ordering::SeqCst);
    assert_eq!(hung.call_blocking("trap", b"").unwrap_err().kind(), ErrorKind::Trapped);
    support::eventually(&hung, "its start hangs", |stats| stats.starting == 1);
    use_up_threads();
    for round in 1..=3 {
        assert_eq!(healthy.call_blocking("trap", b"").unwrap_err().kind(), ErrorKind::Trapped);
        let begun = std::time::Instant::now();
        assert_eq!(healthy.call_blocking("echo", b"hi").unwrap(), b"hi");
        assert!(begun.elapsed() < Duration::from_secs(1), "it waited for {:?}", begun.elapsed());
        assert_eq!(healthy.stats().rebuilds, round);
    }
    hang.store(false, Ordering::SeqCst);
    support::eventually(&hung, "the thread is free", |stats| stats.idle == 1);
    // Now it serves the other pool too, for which no call waits.
    assert_eq!(healthy.call_blocking("trap", b"").unwrap_err().kind(), ErrorKind::Trapped);
    support::eventually(&healthy, "repaired", |stats| stats.idle == 1);
}

#[cfg(target_os = "linux")]
#[test]
fn pools_without_a_thread_start_instances_in_the_time_of_their_callers() {
    let user = format!("--reuid={}", 2_000_000 + std::process::id());
    let wrapper = [&user, "--clear-groups", "prlimit", "--nproc=16"];
    let this = std::env::current_exe().unwrap();
    let child =
        |arguments: &[&str]| Command::new("setpriv").args(wrapper).arg(&this).args(arguments).output();
    // The limit binds every user but root.
    if !child(&["--list"]).is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: this user cannot become another one that may run the test");
    }
    for name in [
        "calls_start_their_instances_themselves",
        "calls_start_their_instances_themselves_while_the_only_thread_hangs",
    ] {
        let name = format!("threads::{name}");
        let output = child(&["--ignored", "--exact", "--test-threads=1", &name]).unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{name}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
