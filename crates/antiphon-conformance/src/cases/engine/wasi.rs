//! WASI preview 1, sealed: only arguments, environment, clocks, random, and output to the log.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use antiphon::errors::ErrorKind;
use antiphon::{CancelHandle, Limits, LogStream, Request, WasiParams};

use crate::cases::ECHO;
use crate::suite::{Case, Guest, Log, Mode, Need, Subject, case};
use crate::support::{Failure, says, soon, timed, took};

const NEEDS: &[Need] = &[Need::Wasi];

pub(super) const CASES: &[Case] = &[
    case!(wasi::arguments_are_those_given).needs(NEEDS),
    case!(wasi::the_environment_is_that_given).needs(NEEDS),
    case!(wasi::nothing_of_the_hosts_own_is_seen).needs(NEEDS),
    case!(wasi::output_goes_to_the_log_line_by_line).needs(NEEDS),
    case!(wasi::standard_input_is_empty).needs(NEEDS),
    case!(wasi::clocks_go_and_random_bytes_differ).keeps_state().needs(NEEDS),
    case!(wasi::random_bytes_for_a_whole_memory_end_at_the_deadline).needs(&[Need::Wasi, Need::Deadline]),
    case!(wasi::no_file_is_there).needs(NEEDS),
    case!(wasi::the_older_name_is_served).needs(NEEDS),
    case!(wasi::an_exit_inside_a_call_is_a_trap_with_its_code).needs(NEEDS),
    case!(wasi::a_wild_pointer_is_a_trap).needs(NEEDS),
    case!(wasi::a_wait_ends_when_it_is_over).needs(NEEDS),
    case!(wasi::a_wait_ends_at_the_deadline).needs(&[Need::Wasi, Need::Deadline]),
    case!(wasi::a_wait_during_the_start_ends_at_its_deadline).needs(&[Need::Wasi, Need::Deadline]),
    case!(wasi::a_wait_is_cancelled_from_another_thread).needs(NEEDS),
    case!(wasi::a_wait_blocks_no_thread_of_the_executor)
        .needs(&[Need::Wasi, Need::Suspend])
        .only(Mode::ASYNC),
    case!(wasi::refused_modules_name_what_they_import).needs(NEEDS),
    case!(wasi::a_module_without_wasi_is_served_without_it),
    case!(wasi::an_unknown_function_is_refused).needs(NEEDS),
];

/// Returns the import of a function of preview 1.
fn import(name: &str, ty: &str) -> String {
    format!("(func ${name} (import \"wasi_snapshot_preview1\" \"{name}\") {ty})\n")
}

/// Returns a guest that answers what `sizes` and `get` write: the count at 0, the size at 4, the
/// strings from 4096 on.
fn strings(sizes: &str, get: &str) -> Guest {
    Guest::new(&format!(
        "{} {}
         (func $run (param i32 i32) (result i32)
           (if (call ${sizes} (i32.const 0) (i32.const 4)) (then unreachable))
           (if (call ${get} (i32.const 1024) (i32.const 4096)) (then unreachable))
           (i32.store (i32.const 4092) (i32.load (i32.const 0)))
           (call $answer (i32.const 4092) (i32.add (i32.load (i32.const 4)) (i32.const 4))))",
        import(sizes, "(param i32 i32) (result i32)"),
        import(get, "(param i32 i32) (result i32)"),
    ))
}

fn arguments_are_those_given(subject: &Subject) {
    let argv = ["guest", "", "with space", "é"].map(str::to_owned).to_vec();
    let params = WasiParams { argv, ..WasiParams::default() };
    let host = subject.host(strings("args_sizes_get", "args_get").wasi_params(params));
    assert_eq!(host.answer("run", b""), "\u{4}\0\0\0guest\0\0with space\0é\0".as_bytes());
    // A second call gets the strings as well.
    assert_eq!(host.answer("run", b"")[0], 4);
}

fn the_environment_is_that_given(subject: &Subject) {
    let env_vars = [("NAME", "value"), ("EMPTY", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    let params = WasiParams { env_vars, ..WasiParams::default() };
    let host = subject.host(strings("environ_sizes_get", "environ_get").wasi_params(params));
    assert_eq!(host.answer("run", b""), b"\x02\0\0\0NAME=value\0EMPTY=\0");
}

fn nothing_of_the_hosts_own_is_seen(subject: &Subject) {
    for guest in [strings("args_sizes_get", "args_get"), strings("environ_sizes_get", "environ_get")] {
        assert_eq!(subject.host(guest).answer("run", b""), [0; 4]);
    }
}

/// Returns a guest that writes the payload to the descriptor whose number is the operation's
/// length.
fn writer() -> Guest {
    Guest::new(&format!(
        "{}
         (func $run (param $op i32) (param $msg i32) (result i32)
           (call $guest_request (i32.const 256) (i32.const 1024))
           (i32.store (i32.const 0) (i32.const 1024))
           (i32.store (i32.const 4) (local.get $msg))
           (call $answer_i32 (call $fd_write (i32.sub (local.get $op) (i32.const 10))
             (i32.const 0) (i32.const 1) (i32.const 8))))",
        import("fd_write", "(param i32 i32 i32 i32) (result i32)")
    ))
}

fn output_goes_to_the_log_line_by_line(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(writer().log(&log));
    let (stdout, stderr) = ("to stdout !", "to stderr !!");
    assert_eq!((stdout.len(), stderr.len()), (11, 12));
    assert_eq!(host.number(stdout, b"one\ntwo\nrest"), 0);
    let lines: Vec<_> = log.take().into_iter().map(|line| (line.stream, line.operation, line.text)).collect();
    let line = |text: &str| (LogStream::Stdout, stdout.to_owned(), text.to_owned());
    // An unfinished line is not kept for the next call.
    assert_eq!(lines, [line("one"), line("two"), line("rest")]);
    assert_eq!(host.number(stderr, b"\x1b[31mred\n"), 0);
    let lines = log.take();
    assert_eq!((lines.len(), lines[0].stream), (1, LogStream::Stderr));
    says(&lines[0].text, &["[31mred"]);
    assert!(!lines[0].text.contains('\u{1b}'));
    // No other descriptor is open.
    assert_eq!(host.number("to descriptor 3", b"x"), 8);
    host.counted(4);
}

fn standard_input_is_empty(subject: &Subject) {
    let host = subject.host(Guest::new(&format!(
        "{}
         (func $run (param i32 i32) (result i32)
           (i32.store (i32.const 0) (i32.const 1024))
           (i32.store (i32.const 4) (i32.const 100))
           (i32.store (i32.const 8) (i32.const 77))
           (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
           (call $answer_i32 (i32.load (i32.const 8))))",
        import("fd_read", "(param i32 i32 i32 i32) (result i32)")
    )));
    assert_eq!(host.number("run", b""), 0, "no bytes, which is the end");
}

fn clocks_go_and_random_bytes_differ(subject: &Subject) {
    let host = subject.host(Guest::new(&format!(
        "{} {} {}
         (func $run (param i32 i32) (result i32)
           (if (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 0)) (then unreachable))
           (if (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 8)) (then unreachable))
           (if (call $random_get (i32.const 16) (i32.const 16)) (then unreachable))
           (if (call $sched_yield) (then unreachable))
           (call $answer (i32.const 0) (i32.const 32)))",
        import("clock_time_get", "(param i32 i64 i32) (result i32)"),
        import("random_get", "(param i32 i32) (result i32)"),
        import("sched_yield", "(result i32)"),
    )));
    let look = || {
        let answer = host.answer("run", b"");
        let number = |at: usize| u64::from_le_bytes(answer[at..at + 8].try_into().unwrap());
        (number(0), number(8), answer[16..].to_vec())
    };
    let (real, monotonic, random) = look();
    thread::sleep(Duration::from_millis(20));
    let (later_real, later_monotonic, other_random) = look();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    assert!(now.abs_diff(later_real) < 60_000_000_000, "the real clock is off: {later_real}");
    assert!(later_real > real && later_monotonic >= monotonic + 10_000_000);
    assert_ne!(random, other_random);
    assert_ne!(random, [0; 16]);
}

fn random_bytes_for_a_whole_memory_end_at_the_deadline(subject: &Subject) {
    // To make them takes the host far longer than the deadline. The log line right after runs
    // before the guest's next check of its time, so a line would show that the host made all of the
    // bytes.
    let log = Log::default();
    let body = format!(
        "{}
         (func $run (param i32 i32) (result i32)
           (drop (call $random_get (i32.const 131072) (i32.const 62914560)))
           (call $console_log (i32.const 0) (i32.const 4))
           (call $spin)
           (i32.const 1))",
        import("random_get", "(param i32 i32) (result i32)")
    );
    let guest = Guest::with_memory(r#"(memory (export "memory") 1024)"#, &body).log(&log);
    let host = subject.host(guest);
    let request = Request::new("run", b"").deadline(Duration::from_millis(20));
    let (error, elapsed) = timed(|| host.fails_with(request, Failure::DEADLINE_IN_GUEST));
    assert_eq!(error.to_string(), crate::support::DEADLINE_TEXT);
    took(elapsed, Duration::from_millis(20));
    assert_eq!(log.texts(), [""; 0]);
}

fn no_file_is_there(subject: &Subject) {
    // EBADF is 8. Nothing is preopened, so no descriptor is a directory.
    let host = subject.host(Guest::new(&format!(
        "{} {} {}
         (func $run (param $op i32) (param $msg i32) (result i32)
           (if (i32.ne (call $fd_prestat_get (i32.const 3) (i32.const 0)) (i32.const 8)) (then unreachable))
           (if (i32.ne (call $fd_close (i32.const 9)) (i32.const 8)) (then unreachable))
           (call $answer_i32 (call $path_open (i32.const 3) (i32.const 0) (i32.const 512) (i32.const 11)
             (i32.const 0) (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 0))))
         (data (i32.const 512) \"/etc/passwd\")",
        import("fd_prestat_get", "(param i32 i32) (result i32)"),
        import("fd_close", "(param i32) (result i32)"),
        import("path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)"),
    )));
    assert_eq!(host.number("run", b""), 8);
}

fn the_older_name_is_served(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(
        Guest::new(
            r#"(func $fd_write (import "wasi_unstable" "fd_write") (param i32 i32 i32 i32) (result i32))
               (func $run (param i32 i32) (result i32)
                 (i32.store (i32.const 0) (i32.const 512))
                 (i32.store (i32.const 4) (i32.const 4))
                 (call $answer_i32 (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
               (data (i32.const 512) "old\n")"#,
        )
        .log(&log),
    );
    assert_eq!(host.number("run", b""), 0);
    assert_eq!(log.texts(), ["old"]);
}

fn an_exit_inside_a_call_is_a_trap_with_its_code(subject: &Subject) {
    let host = subject.host(Guest::new(&format!(
        "{}
         (func $run (param i32 i32) (result i32)
           (call $guest_request (i32.const 256) (i32.const 0))
           (call $guest_response (i32.const 0) (i32.const 4))
           (call $proc_exit (i32.load (i32.const 0)))
           (i32.const 1))",
        import("proc_exit", "(param i32)")
    )));
    for code in [0, 1, 42, 255, -1] {
        let error = host.fails("run", &i32::to_le_bytes(code), Failure::TRAPPED);
        assert_eq!(error.exit_code(), Some(code), "{error:#?}");
    }
}

fn a_wild_pointer_is_a_trap(subject: &Subject) {
    // The payload has two numbers: pointer and length.
    let host = subject.host(Guest::new(&format!(
        "{}
         (func $run (param i32 i32) (result i32)
           (call $guest_request (i32.const 256) (i32.const 0))
           (call $answer_i32 (call $random_get (i32.load (i32.const 0)) (i32.load (i32.const 4)))))",
        import("random_get", "(param i32 i32) (result i32)")
    )));
    for (ptr, len) in [(65_536, 1), (-1, 1), (0, -1), (-8, 16), (65_535, 2)] {
        let payload = [ptr, len].map(i32::to_le_bytes).concat();
        says(host.fails("run", &payload, Failure::TRAPPED), &["random_get"]);
    }
    assert_eq!(host.number("run", &[65_520, 16].map(i32::to_le_bytes).concat()), 0);
}

/// Waits for `ms` milliseconds on the monotonic clock and returns the number of events. The text
/// starts with an import.
pub(super) fn sleep() -> String {
    format!(
        "{}
         (func $sleep (param $ms i32) (result i32)
           (memory.fill (i32.const 0) (i32.const 0) (i32.const 128))
           (i32.store (i32.const 16) (i32.const 1)) ;; the monotonic clock
           (i64.store (i32.const 24) (i64.mul (i64.extend_i32_u (local.get $ms)) (i64.const 1000000)))
           (if (call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 120)) (then unreachable))
           (i32.load (i32.const 120)))",
        import("poll_oneoff", "(param i32 i32 i32 i32) (result i32)")
    )
}

/// Returns a guest that waits for as many milliseconds as the payload says, and answers the number
/// of events.
fn sleeper() -> String {
    format!(
        "{}
         (func $run (param i32 i32) (result i32)
           (call $guest_request (i32.const 256) (i32.const 0))
           (call $answer_i32 (call $sleep (i32.load (i32.const 0)))))",
        sleep()
    )
}

fn a_wait_ends_when_it_is_over(subject: &Subject) {
    let host = subject.host(Guest::new(&sleeper()));
    for ms in [0, 3, 60] {
        let (events, elapsed) = timed(|| host.number("run", &u32::to_le_bytes(ms)));
        assert_eq!(events, 1);
        took(elapsed, Duration::from_millis(ms.into()));
    }
    host.counted(4);
}

fn a_wait_ends_at_the_deadline(subject: &Subject) {
    let deadline = Duration::from_millis(150);
    let host = subject.host(Guest::new(&sleeper()).limits(Limits::new().deadline(deadline)));
    for ms in [10_000, u32::MAX] {
        host.counted(1);
        let (error, elapsed) = timed(|| host.call("run", &u32::to_le_bytes(ms)).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:#?}");
        assert_eq!(error.to_string(), crate::support::DEADLINE_TEXT);
        took(elapsed, deadline);
    }
    host.counted(1);
}

fn a_wait_during_the_start_ends_at_its_deadline(subject: &Subject) {
    let deadline = Duration::from_millis(150);
    let body = format!(r#"{} (func (export "_start") (drop (call $sleep (i32.const 10000))))"#, sleeper());
    let guest = Guest::new(&body).limits(Limits::new().init_deadline(deadline));
    let (error, elapsed) = timed(|| subject.refuses(guest, Failure::INIT_FAILED));
    assert!(error.is_deadline(), "{error:#?}");
    took(elapsed, deadline);
}

fn a_wait_is_cancelled_from_another_thread(subject: &Subject) {
    let host = subject.host(Guest::new(&sleeper()));
    let cancel = CancelHandle::new();
    let canceller = cancel.clone();
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(80));
        canceller.cancel();
    });
    let payload = u32::to_le_bytes(30_000);
    let request = Request::new("run", &payload).cancel(cancel).deadline(Duration::from_secs(60));
    let (_, elapsed) = timed(|| host.fails_with(request, Failure::CANCELLED));
    thread.join().unwrap();
    soon(elapsed, Duration::from_millis(80));
}

fn a_wait_blocks_no_thread_of_the_executor(subject: &Subject) {
    let one = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    one.block_on(async {
        let host = Arc::new(subject.start_async(Guest::new(&sleeper())).await.unwrap());
        let sleeping = tokio::spawn(async move { host.call("run", &u32::to_le_bytes(300)).await });
        let mut ticks = 0;
        while !sleeping.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            ticks += 1;
        }
        assert_eq!(sleeping.await.unwrap().unwrap(), 1i32.to_le_bytes());
        assert!(ticks > 3, "{ticks} timers of 5 ms fired while the guest slept for 300 ms");
    });
}

fn refused_modules_name_what_they_import(subject: &Subject) {
    let error = subject.refuses(writer().wasi(false), Failure::INVALID_MODULE);
    says(&error, &["wasi_snapshot_preview1", "fd_write"]);
}

fn a_module_without_wasi_is_served_without_it(subject: &Subject) {
    let host = subject.host(Guest::new(ECHO).wasi(false));
    assert_eq!(host.answer("echo", b"no need"), b"no need");
}

fn an_unknown_function_is_refused(subject: &Subject) {
    let run = "(func $run (param i32 i32) (result i32) (i32.const 1))";
    let unknown = Guest::new(&format!("{} {run}", import("fd_teleport", "(param i32)")));
    says(subject.refuses(unknown, Failure::INVALID_MODULE), &["wasi_snapshot_preview1", "fd_teleport"]);
    let mistyped = Guest::new(&format!("{} {run}", import("random_get", "(param i64 i32) (result i32)")));
    says(subject.refuses(mistyped, Failure::INVALID_MODULE), &["wasi_snapshot_preview1", "random_get"]);
}
