//! A pool whose thread the system refuses.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::ErrorKind;
use antiphon::testing::{TestEngine, TestFactory};
use antiphon_pool::HostPool;

fn module() -> TestFactory {
    let engine = TestEngine::new().operation("echo", |payload| Ok(payload.to_vec()));
    TestFactory::new(engine.operation("trap", |_| std::panic::resume_unwind(Box::new("trap"))))
}

/// Starts threads until the system refuses one. They end with the process.
fn use_up_threads() {
    while std::thread::Builder::new().spawn(std::thread::park).is_ok() {}
}

/// Run by the test below in a process of its own.
#[test]
#[ignore = "needs a process that may have few threads"]
fn calls_start_their_instances_themselves() {
    let pool = HostPool::builder(Arc::new(module())).min(1).max(2).build_blocking().unwrap();
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

#[cfg(target_os = "linux")]
#[test]
fn a_pool_without_a_thread_of_its_own_starts_instances_in_the_time_of_its_callers() {
    let user = format!("--reuid={}", 2_000_000 + std::process::id());
    let wrapper = [&user, "--clear-groups", "prlimit", "--nproc=16"];
    let this = std::env::current_exe().unwrap();
    let child =
        |arguments: &[&str]| Command::new("setpriv").args(wrapper).arg(&this).args(arguments).output();
    // The limit binds every user but root.
    if !child(&["--list"]).is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: this user cannot become another one that may run the test");
    }
    let name = "threads::calls_start_their_instances_themselves";
    let output = child(&["--ignored", "--exact", "--test-threads=1", name]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
