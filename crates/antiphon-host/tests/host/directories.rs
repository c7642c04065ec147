//! Directories of the host for guests, on every engine, in both modes.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use antiphon::errors::{Error, ErrorKind, Fate};
use antiphon::{Limits, Request, Response, WapcHost, WapcHostAsync, WasiParams, block_on};
use antiphon_host::{EngineKind, EngineOptions};

/// Opens the file that the payload names in its first directory. `read` answers with the file's
/// content; `write` (five letters) creates the file and writes its name into it. If that is
/// refused, the guest answers with the errno as one byte. It also prints.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 900) "opening\n")
    (func $refused (param $errno i32) (result i32)
        (i32.store8 (i32.const 0) (local.get $errno))
        (call $response (i32.const 0) (i32.const 1))
        (i32.const 1))
    (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
        (local $errno i32)
        (call $request (i32.const 0) (i32.const 64))
        (i32.store (i32.const 1000) (i32.const 900))
        (i32.store (i32.const 1004) (i32.const 8))
        (drop (call $write (i32.const 1) (i32.const 1000) (i32.const 1) (i32.const 1016)))
        (local.set $errno (call $open (i32.const 3) (i32.const 0) (i32.const 64) (local.get $msg)
            (i32.eq (local.get $op) (i32.const 5))
            (select (i64.const 0x40) (i64.const 0x2) (i32.eq (local.get $op) (i32.const 5)))
            (i64.const 0) (i32.const 0) (i32.const 1008)))
        (if (local.get $errno) (then (return (call $refused (local.get $errno)))))
        (i32.store (i32.const 1000) (i32.const 2048))
        (i32.store (i32.const 1004) (i32.const 1024))
        (if (i32.eq (local.get $op) (i32.const 5))
            (then
                (i32.store (i32.const 1000) (i32.const 64))
                (i32.store (i32.const 1004) (local.get $msg))
                (local.set $errno (call $write (i32.load (i32.const 1008)) (i32.const 1000) (i32.const 1) (i32.const 1016))))
            (else
                (local.set $errno (call $read (i32.load (i32.const 1008)) (i32.const 1000) (i32.const 1) (i32.const 1016)))))
        (if (local.get $errno) (then (return (call $refused (local.get $errno)))))
        (call $response (i32.load (i32.const 1000)) (i32.load (i32.const 1016)))
        (i32.const 1)))"#;

/// The hosts of a guest: on every engine, synchronous and asynchronous.
enum Host {
    Sync(WapcHost),
    Async(WapcHostAsync),
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Host {
    /// Starts a host of each kind on an engine. Their guests log into one list.
    fn start(
        engine: EngineKind,
        guest: &str,
        options: &EngineOptions,
    ) -> impl Iterator<Item = (Result<Self, Error>, Lines)> {
        let factory = engine.factory(guest.as_bytes(), options).unwrap();
        [false, true].into_iter().map(move |asynchronous| {
            let lines = Lines::default();
            let sink = Arc::clone(&lines);
            let log = move |line: antiphon::LogLine<'_>| sink.lock().unwrap().push(line.text.to_owned());
            let host = if asynchronous {
                let builder = WapcHostAsync::builder(factory.provider_async().unwrap());
                block_on(builder.log(log).build()).map(Self::Async)
            } else {
                WapcHost::builder(factory.provider().unwrap()).log(log).build().map(Self::Sync)
            };
            (host, lines)
        })
    }

    fn call_with(&self, request: Request<'_>) -> Result<Response, Error> {
        match self {
            Self::Sync(host) => host.call_with(request),
            Self::Async(host) => block_on(host.call_with(request)),
        }
    }

    fn call(&self, op: &str, payload: &[u8]) -> Result<Vec<u8>, Error> {
        self.call_with(Request::new(op, payload)).map(|response| response.payload)
    }
}

/// Starts the guest on every engine in both modes.
fn hosts(guest: &str, options: &EngineOptions) -> Vec<Host> {
    let start = |engine| Host::start(engine, guest, options).map(|(host, _)| host.unwrap());
    EngineKind::available().flat_map(start).collect()
}

/// Calls an operation of [`GUEST`] with a file on every engine in both modes. Returns the answer,
/// which has to be the same.
fn call(options: &EngineOptions, op: &str, file: &str) -> Vec<u8> {
    let mut answers = hosts(GUEST, options).into_iter().map(|host| host.call(op, file.as_bytes()).unwrap());
    let first = answers.next().unwrap();
    answers.for_each(|answer| assert_eq!(answer, first));
    first
}

fn given(directory: &Path) -> EngineOptions {
    EngineOptions::new().dir(directory, "/data")
}

#[test]
fn a_guest_reads_and_writes_in_a_directory_it_was_given() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("in.txt"), "from the host").unwrap();
    assert_eq!(call(&given(directory.path()), "read", "in.txt"), b"from the host");
    assert_eq!(call(&given(directory.path()), "write", "out.txt"), b"out.txt");
    assert_eq!(std::fs::read(directory.path().join("out.txt")).unwrap(), b"out.txt");
}

#[cfg(unix)]
#[test]
fn a_directory_is_opened_once_so_a_link_in_its_place_leads_nowhere() {
    let base = tempfile::tempdir().unwrap();
    let [granted, moved, outside] = ["granted", "moved", "outside"].map(|name| base.path().join(name));
    for (directory, content) in [(&granted, "inside"), (&outside, "secret")] {
        std::fs::create_dir(directory).unwrap();
        std::fs::write(directory.join("file"), content).unwrap();
    }
    let hosts = hosts(GUEST, &given(&granted));
    std::fs::rename(&granted, moved).unwrap();
    std::os::unix::fs::symlink(&outside, &granted).unwrap();
    for host in hosts {
        assert_eq!(host.call("read", b"file").unwrap(), b"inside");
        // The request does not fit into the guest's memory: the instance is lost.
        let lost = host.call("read", &[0; 100_000]).unwrap_err();
        assert_eq!((lost.kind(), lost.fate()), (ErrorKind::Trapped, Fate::Discarded));
        assert_eq!(host.call("read", b"file").unwrap(), b"inside");
    }
}

#[test]
fn the_directories_of_wapc_2_are_granted_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    std::fs::write(directory.path().join("in.txt"), "from the host").unwrap();
    let mapped = WasiParams { map_dirs: vec![("/data".into(), path.clone())], ..WasiParams::default() };
    let preopened = WasiParams { preopened_dirs: vec![path], ..WasiParams::default() };
    for params in [mapped, preopened] {
        let options = EngineOptions::new().wasi_params(params);
        assert_eq!(call(&options, "read", "in.txt"), b"from the host");
        assert_eq!(call(&options, "write", "out.txt"), b"out.txt");
    }
}

#[test]
fn a_guest_cannot_leave_its_directory_nor_write_where_it_may_only_read() {
    const EPERM: [u8; 1] = [63];

    let outside = tempfile::tempdir().unwrap();
    let directory = outside.path().join("inside");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    std::fs::write(directory.join("in.txt"), "readable").unwrap();
    for path in ["../secret", "/etc/passwd", "../inside/in.txt"] {
        assert_eq!(call(&given(&directory), "read", path), EPERM);
    }
    let read_only = EngineOptions::new().read_only_dir(&directory, "/data");
    assert_eq!(call(&read_only, "read", "in.txt"), b"readable");
    assert_eq!(call(&read_only, "write", "new.txt"), EPERM);
    assert!(!directory.join("new.txt").exists());
}

#[test]
fn what_a_guest_with_directories_prints_goes_to_the_log() {
    let directory = tempfile::tempdir().unwrap();
    for engine in EngineKind::available() {
        for (host, lines) in Host::start(engine, GUEST, &given(directory.path())) {
            assert_eq!(host.unwrap().call("read", b"missing").unwrap(), [44]);
            assert_eq!(*lines.lock().unwrap(), ["opening"], "{engine}");
        }
    }
}

#[test]
fn a_directory_that_is_not_there_is_refused_when_the_guest_starts() {
    for engine in EngineKind::available() {
        for (host, _) in Host::start(engine, GUEST, &given(Path::new("/no/such/directory"))) {
            let error = host.err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{engine}");
            assert!(error.message().contains("/no/such/directory"), "{error}");
        }
    }
}

#[test]
fn each_instance_opens_its_directories_and_closes_what_it_left_open() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("in.txt"), "first").unwrap();
    for host in hosts(GUEST, &given(directory.path())) {
        // [`GUEST`] never closes a file: at 256 it has no descriptor left, and an instance of its
        // own still has all of them.
        for _ in 0..256 {
            assert_eq!(host.call("read", b"in.txt").unwrap(), b"first");
        }
        assert_eq!(host.call("read", b"in.txt").unwrap(), [33]);
    }
    for host in hosts(GUEST, &given(directory.path()).isolation(antiphon::Isolation::PerCall)) {
        for _ in 0..300 {
            assert_eq!(host.call("read", b"in.txt").unwrap(), b"first");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo").arg(directory.path().join("pipe")).status().unwrap();
    assert!(made.success());
    let begun = Instant::now();
    for op in ["read", "write"] {
        // `ENXIO`
        assert_eq!(call(&given(directory.path()), op, "pipe"), [60]);
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_wild_pointer_ends_the_guest_before_anything_is_done() {
    const GUEST: &str = r#"(module
        (import "wasi_snapshot_preview1" "path_create_directory" (func $create (param i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "made")
        (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
            (if (local.get $msg) (then (return (call $create (i32.const 3) (i32.const -4) (i32.const 8)))))
            (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 1) (i64.const 0x40)
                (i64.const 0) (i32.const 0) (i32.const 65533))))"#;

    let directory = tempfile::tempdir().unwrap();
    for host in hosts(GUEST, &given(directory.path())) {
        for payload in [&b""[..], b"x"] {
            let error = host.call("op", payload).unwrap_err();
            assert_eq!((error.kind(), error.fate()), (ErrorKind::Trapped, Fate::Discarded), "{error:#?}");
            let what = if payload.is_empty() {
                "path_open: pointer 0xfffd"
            } else {
                "path_create_directory: pointer"
            };
            assert!(error.message().starts_with(what), "{error}");
        }
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_wild_pointer_after_a_refused_growth_is_named_after_the_limit() {
    // Grows by a page for each byte of its payload, and then points outside its memory.
    const GUEST: &str = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
            (drop (memory.grow (local.get $msg)))
            (call $write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 0))))"#;

    let directory = tempfile::tempdir().unwrap();
    for host in hosts(GUEST, &given(directory.path())) {
        assert_eq!(host.call("op", b"a page").unwrap_err().kind(), ErrorKind::Trapped);
        let error = host.call("op", &[0; 2_000]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MemoryLimit);
        let what = "after growth to 131137536 bytes of memory was refused by the limit of 67108864";
        assert!(error.message().contains(what), "{error}");
    }
}

#[test]
fn huge_lists_of_buffers_are_served_in_part_and_in_time() {
    // Reads into a list of a thousand buffers of nearly all of its memory, and answers the count.
    const GUEST: &str = r#"(module
        (import "wapc" "__guest_response" (func $response (param i32 i32)))
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1000)
        (data (i32.const 0) "large")
        (func (export "__guest_call") (param i32 i32) (result i32)
            (local $at i32)
            (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 0) (i64.const 2)
                (i64.const 0) (i32.const 0) (i32.const 16)) (then (return (i32.const 0))))
            (loop $next
                (i32.store offset=1024 (local.get $at) (i32.const 65536))
                (i32.store offset=1028 (local.get $at) (i32.const 4194304))
                (local.set $at (i32.add (local.get $at) (i32.const 8)))
                (br_if $next (i32.lt_u (local.get $at) (i32.const 8000))))
            (if (call $read (i32.load (i32.const 16)) (i32.const 1024) (i32.const 1000) (i32.const 16))
                (then (return (i32.const 0))))
            (call $response (i32.const 16) (i32.const 4))
            (i32.const 1)))"#;

    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(directory.path().join("large")).unwrap();
    file.set_len(1 << 40).unwrap();
    for host in hosts(GUEST, &given(directory.path()).limits(Limits::new().memory(128 << 20))) {
        assert_eq!(host.call("op", b"").unwrap(), (4_u32 << 20).to_le_bytes());
    }
}

/// Reports an error text, calls its host, and sleeps for ten seconds.
const SLEEPER: &str = r#"(module
    (import "wapc" "__guest_error" (func $error (param i32 i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "asleep")
    (func (export "__guest_call") (param i32 i32) (result i32)
        (call $error (i32.const 0) (i32.const 6))
        (drop (call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (i32.store (i32.const 64) (i32.const 0))
        (i32.store (i32.const 80) (i32.const 1))
        (i64.store (i32.const 88) (i64.const 10000000000))
        (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 192)))
        (i32.const 0)))"#;

#[test]
fn a_guest_with_directories_whose_time_is_over_says_what_it_used_and_was_at() {
    let directory = tempfile::tempdir().unwrap();
    for host in hosts(SLEEPER, &given(directory.path())) {
        let request = Request::new("go", b"").deadline(Duration::from_millis(50)).usage(true);
        let error = host.call_with(request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:#?}");
        assert_eq!(error.guest_error(), Some("asleep"));
        assert_eq!(error.usage().map(|usage| usage.host_calls), Some(1));
    }
}

#[test]
fn a_guest_with_directories_sleeps_as_long_as_it_asked_for() {
    let short = SLEEPER.replace("10000000000", "20000000");
    let directory = tempfile::tempdir().unwrap();
    for host in hosts(&short, &given(directory.path())) {
        let begun = Instant::now();
        assert_eq!(host.call("go", b"").unwrap_err().kind(), ErrorKind::GuestFailed);
        assert!(begun.elapsed() >= Duration::from_millis(20));
    }
}

/// A file system in memory which only the process of this test sees.
#[cfg(target_os = "linux")]
#[test]
fn a_guest_is_told_of_a_full_disk_and_lives_on() {
    use std::process::Command;

    const CHILD: &str = "ANTIPHON_HOST_SMALL_DISK";
    const ENOSPC: [u8; 1] = [51];

    let Some(place) = std::env::var_os(CHILD) else {
        let place = tempfile::tempdir().unwrap();
        let inside = |run: &str| {
            let script = format!("mount -t tmpfs -o size=64k none \"${CHILD}\" && {run}");
            let mut command = Command::new("unshare");
            command.args(["--map-root-user", "--mount", "sh", "-c", &script]).env(CHILD, place.path());
            command
        };
        if !inside("true").output().is_ok_and(|probe| probe.status.success()) {
            eprintln!("skipped: this user may mount no file system");
            return;
        }
        let test = "directories::a_guest_is_told_of_a_full_disk_and_lives_on";
        let program = std::env::current_exe().unwrap();
        let ran =
            inside(&format!("exec \"$PROGRAM\" --exact {test}")).env("PROGRAM", program).output().unwrap();
        let printed = String::from_utf8(ran.stdout).unwrap();
        assert!(ran.status.success() && printed.contains("1 passed"), "{}\n{printed}", ran.status);
        return;
    };
    let place = Path::new(&place);
    std::fs::write(place.join("small"), "still here").unwrap();
    let hosts = hosts(GUEST, &given(place));
    let full = std::fs::write(place.join("large"), vec![7; 128 << 10]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    for (number, host) in hosts.iter().enumerate() {
        let name = format!("file-{number}");
        assert_eq!(host.call("write", name.as_bytes()).unwrap(), ENOSPC);
        assert_eq!(std::fs::read(place.join(name)).unwrap(), b"", "it was made, and has no bytes");
        assert_eq!(host.call("read", b"small").unwrap(), b"still here");
    }
    std::fs::remove_file(place.join("large")).unwrap();
    for host in hosts {
        assert_eq!(host.call("write", b"after").unwrap(), b"after");
    }
}
