//! What the machine lacks, as a program that embeds the engine sees it. What the program `antiphon`
//! can show is in its own tests.

use std::fs::File;
use std::process::Command;

use antiphon::errors::{ErrorKind, Fate, Fault};
use antiphon::{WapcHost, WapcHostAsync};
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;

/// A guest with bytes in its memory, whose image is a file in memory.
const GUEST: &[u8] = br#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") 1) (data (i32.const 0) "hello")
    (func (export "__guest_call") (param i32 i32) (result i32)
        (call $response (i32.const 0) (i32.const 5)) (i32.const 1)))"#;

/// Run by the test below in a process of its own.
#[test]
#[ignore = "needs a process that may open few files"]
fn hosts_without_files() {
    let builder = || WasmtimeEngineProviderBuilder::new().module_bytes(GUEST);
    let (first, second) = (builder().build().unwrap(), builder().build_async().unwrap());
    let mut open = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        open.push(file);
    }
    let sync = WapcHost::new(Box::new(first.clone()), None).map(drop).unwrap_err();
    let host = antiphon::block_on(WapcHostAsync::new(Box::new(second.clone()), None));
    for error in [sync, host.map(drop).unwrap_err()] {
        assert_eq!((error.kind(), error.fault()), (ErrorKind::OutOfResources, Fault::Host), "{error:#?}");
        assert_eq!(error.fate(), Fate::NeverBorn);
        assert!(error.message().starts_with("the system refused a file for "), "{error}");
        assert!(error.message().contains("ulimit -n"), "{error}");
    }
    // With files, the same providers start.
    drop(open);
    assert_eq!(WapcHost::new(Box::new(first), None).unwrap().call("", b"").unwrap(), b"hello");
    antiphon::block_on(async {
        let host = WapcHostAsync::new(Box::new(second), None).await.unwrap();
        assert_eq!(host.call("", b"").await.unwrap(), b"hello");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_with_too_few_open_files_is_told_so() {
    let script = "ulimit -n 32 && exec \"$0\" --ignored --exact machine::hosts_without_files";
    let this = std::env::current_exe().unwrap();
    let output = Command::new("sh").args(["-c", script]).arg(this).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_provider_can_be_built_on_a_thread_of_any_pool() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let provider = pool.install(|| WasmtimeEngineProviderBuilder::new().module_bytes(GUEST).build());
    assert_eq!(WapcHost::new(Box::new(provider.unwrap()), None).unwrap().call("", b"").unwrap(), b"hello");
}

/// Run by the test below in a process of its own.
#[test]
#[ignore = "needs a process that may have few threads"]
fn a_build_on_a_rayon_thread_without_another_thread() {
    let build = || WasmtimeEngineProviderBuilder::new().module_bytes(GUEST).build().map(drop);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    build().unwrap();
    // They end with the process.
    while std::thread::Builder::new().spawn(std::thread::park).is_ok() {}
    let error: antiphon::errors::Error = pool.install(build).unwrap_err().into();
    assert_eq!((error.kind(), error.fate()), (ErrorKind::OutOfResources, Fate::NeverBorn), "{error:#?}");
    assert!(error.message().starts_with("the system refused a thread for the compilation"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_rayon_thread_that_cannot_hand_its_module_over_gets_an_error() {
    let user = format!("--reuid={}", 3_000_000 + std::process::id());
    let wrapper = [&user, "--clear-groups", "prlimit", "--nproc=32"];
    let this = std::env::current_exe().unwrap();
    let child =
        |arguments: &[&str]| Command::new("setpriv").args(wrapper).arg(&this).args(arguments).output();
    // The limit binds every user but root.
    if !child(&["--list"]).is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: this user cannot become another one that may run the test");
    }
    let name = "machine::a_build_on_a_rayon_thread_without_another_thread";
    let output = child(&["--ignored", "--exact", "--test-threads=1", name]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
