//! Programs that were written for no sandbox, in C and in Rust: they do the same on the system and
//! in a guest, on every engine, in both modes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon::{Limits, LogLine, LogStream, WapcHost, WapcHostAsync, WasiParams, block_on};
use antiphon_host::{EngineKind, EngineOptions};
use tempfile::TempDir;

fn guests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests")
}

/// Returns an empty directory, in memory where the system has a place for that: the programs make
/// thousands of files, which costs a disk most of the time of these tests.
fn empty() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Compiles a program for this system, and returns what it prints in an empty directory.
fn on_the_system(mut compiler: Command) -> String {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let compiled = compiler.arg("-o").arg(&program).output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let directory = empty();
    let ran = Command::new(program).arg(directory.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// Runs a program in a guest, and returns what it prints in an empty directory. It runs when the
/// guest is started.
fn in_a_guest(engine: EngineKind, module: &[u8], asynchronous: bool) -> String {
    let directory = empty();
    let argv = vec!["files".to_owned(), "/data".to_owned()];
    let options = EngineOptions::new()
        .dir(directory.path(), "/data")
        .wasi_params(WasiParams { argv, ..WasiParams::default() })
        .limits(Limits::new().init_deadline(Duration::from_secs(120)));
    let factory = engine.factory(module, &options).unwrap();
    let printed = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&printed);
    let log = move |line: LogLine<'_>| {
        assert_eq!(line.stream, LogStream::Stdout, "{}", line.text);
        let mut printed = sink.lock().unwrap();
        printed.push_str(line.text);
        printed.push('\n');
    };
    if asynchronous {
        let host = WapcHostAsync::builder(factory.provider_async().unwrap()).log(log);
        block_on(host.build()).map(drop).unwrap();
    } else {
        WapcHost::builder(factory.provider().unwrap()).log(log).build().map(drop).unwrap();
    }
    std::mem::take(&mut *printed.lock().unwrap())
}

fn compare(native: &str, module: &str) {
    assert!(native.lines().count() > 50, "{native}");
    let module = std::fs::read(guests().join("built").join(module)).unwrap();
    for engine in EngineKind::available() {
        for asynchronous in [false, true] {
            let printed = in_a_guest(engine, &module, asynchronous);
            let differs = native.lines().zip(printed.lines()).find(|(native, printed)| native != printed);
            assert_eq!(differs, None, "{engine}, asynchronous: {asynchronous}");
            assert_eq!(native, printed, "{engine}, asynchronous: {asynchronous}");
        }
    }
}

#[test]
fn a_program_in_c_does_the_same_with_files_as_on_the_system() {
    let mut compiler = Command::new("cc");
    compiler.args(["-std=gnu11", "-O1"]).arg(guests().join("c/files/files.c"));
    compare(&on_the_system(compiler), "c-files.wasm");
}

#[test]
fn a_program_in_rust_does_the_same_with_files_as_on_the_system() {
    let mut compiler = Command::new("rustc");
    compiler.args(["--edition", "2024"]).arg(guests().join("rust/files/src/main.rs"));
    compare(&on_the_system(compiler), "rust-files.wasm");
}
