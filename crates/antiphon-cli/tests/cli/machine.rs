//! A machine that lacks something: memory, executable memory, files, threads, room for files.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::program::{ENGINES, MODES, Run, Wat, command, guest};

/// Runs the program after a line of shell.
fn after(setup: &str, arguments: &[&str]) -> Run {
    wrapped(&["sh", "-c", &format!("{setup}; exec \"$0\" \"$@\"")], arguments)
}

/// Runs the program by way of another one, which ends by executing it.
fn wrapped(wrapper: &[&str], arguments: &[&str]) -> Run {
    let program = command(arguments);
    let (wrapper, options) = wrapper.split_first().unwrap();
    let mut command = Command::new(wrapper);
    command.args(options).arg(program.get_program()).args(program.get_args());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).current_dir(crate::program::repository()).env_remove("RUST_BACKTRACE");
    command.output().unwrap().into()
}

/// Returns the arguments of a call in each mode on each engine.
fn calls(module: &Path, rest: &[&str]) -> Vec<Vec<String>> {
    let call = |mode: &str, engine: &str| {
        let options = ["call", "--no-cache", "--error-format", "json", "--mode", mode, "--engine", engine];
        let module = module.to_str().unwrap();
        options.iter().chain(&[module]).chain(rest).map(|argument| (*argument).to_owned()).collect()
    };
    MODES.iter().flat_map(|mode| ENGINES.map(|engine| call(mode, engine))).collect()
}

/// Asserts that a run ended for lack of something, and what it said of that.
#[track_caller]
fn lacked(run: Run, fate: &str, said: &[&str]) {
    let error = run.failed(3).error();
    let field = |name: &str| error.get(name).and_then(serde_json::Value::as_str).unwrap();
    assert_eq!(
        [field("code"), field("fault"), field("fate")],
        ["out_of_resources", "host", fate],
        "{error:#}"
    );
    for part in said {
        assert!(field("message").contains(part), "{error:#}");
    }
}

fn texts(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn a_guest_runs_with_little_address_space() {
    for arguments in calls(&guest("rust.wasm"), &["echo", "hello"]) {
        after("ulimit -v 1500000", &texts(&arguments)).answered("hello");
    }
}

#[test]
fn a_memory_that_the_machine_has_not_is_the_hosts_fault() {
    // A gigabyte, where there are 900 megabytes of address space.
    let wat = Wat::new(
        r#"(module (memory (export "memory") 16384)
             (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#,
    );
    for arguments in calls(&wat.path(), &["run", "--memory", "2GiB"]) {
        let run = after("ulimit -v 900000", &texts(&arguments));
        lacked(run, "never_born", &["the system refused memory", "an instance", "ulimit -v"]);
    }
}

#[test]
fn a_trap_after_a_growth_that_the_machine_refused_is_the_hosts_fault() {
    let wat = Wat::guest(
        "",
        "(if (i32.eq (memory.grow (i32.const 16384)) (i32.const -1)) (then unreachable)) (i32.const 1)",
    );
    for arguments in calls(&wat.path(), &["run", "--memory", "2GiB"]) {
        let run = after("ulimit -v 900000", &texts(&arguments));
        lacked(run, "discarded", &["the system refused memory", "a growth of the guest"]);
    }
}

/// Runs the program where no memory can be made executable. Returns `None` where that cannot be
/// had.
fn without_executable_memory(arguments: &[&str]) -> Option<Run> {
    // `prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN)`, which systemd's option uses too.
    let number = if cfg!(target_arch = "x86_64") { 157 } else { 167 };
    let script = format!("syscall({number}, 65, 1, 0, 0, 0) == 0 or exit 77; exec @ARGV");
    if Command::new("perl").args(["-e", &script, "true"]).status().is_ok_and(|status| status.success()) {
        return Some(wrapped(&["perl", "-e", &script], arguments));
    }
    eprintln!("skipped: this machine cannot forbid executable memory");
    None
}

#[test]
fn code_that_may_not_be_run_is_the_hosts_fault_and_the_interpreter_needs_none() {
    for arguments in calls(&guest("rust.wasm"), &["echo", "hello"]) {
        let arguments = texts(&arguments);
        let Some(run) = without_executable_memory(&arguments) else { return };
        if arguments.contains(&"wasmi") {
            run.answered("hello");
        } else {
            lacked(run, "never_born", &["the system refused executable memory", "MemoryDenyWriteExecute"]);
        }
    }
}

/// Runs the program as a user of its own that may have this many threads, the first one included.
/// Returns `None` where that cannot be had: the limit binds every user but root.
fn with_threads(threads: u32, arguments: &[&str]) -> Option<Run> {
    static USERS: AtomicU32 = AtomicU32::new(0);
    // Tests of other processes that run now have other users.
    let user = 1_000_000 + std::process::id() * 100 + USERS.fetch_add(1, Ordering::Relaxed);
    let (user, limit) = (format!("--reuid={user}"), format!("--nproc={threads}"));
    let wrapper = ["setpriv", &user, "--clear-groups", "prlimit", &limit];
    let program = env!("CARGO_BIN_EXE_antiphon");
    let [setpriv, options @ ..] = &wrapper;
    let is_there = Command::new(setpriv).args(options).args([program, "--version"]).output();
    if is_there.is_ok_and(|output| output.status.success()) {
        return Some(wrapped(&wrapper, arguments));
    }
    eprintln!("skipped: this user cannot become another one that may run the program");
    None
}

#[test]
fn a_thread_that_cannot_be_had_is_the_hosts_fault_and_few_are_enough() {
    for arguments in calls(&guest("c.wasm"), &["echo", "hello"]) {
        let arguments = texts(&arguments);
        let Some(run) = with_threads(1, &arguments) else { return };
        lacked(run, "never_born", &["the system refused a thread", "the clock", "ulimit -u"]);
        let Some(run) = with_threads(2, &arguments) else { return };
        if arguments.contains(&"wasmi") {
            run.answered("hello");
        } else {
            lacked(run, "never_born", &["the system refused a thread", "the compilation of a module"]);
            // The clock, and one thread that compiles.
            let alone = with_threads(3, &arguments).unwrap();
            assert_eq!((alone.code, alone.text()), (Some(0), "hello"), "{}", alone.stderr);
            // A machine with one processor starts no more.
            if std::thread::available_parallelism().is_ok_and(|threads| threads.get() > 1) {
                assert!(
                    alone.stderr.contains("the system refuses the threads that compile"),
                    "{}",
                    alone.stderr
                );
                assert_eq!(alone.stderr.lines().count(), 1, "{}", alone.stderr);
            }
        }
    }
}

#[test]
fn a_benchmark_with_more_callers_than_threads_ends_and_says_why() {
    let module = guest("c.wasm");
    let module = module.to_str().unwrap();
    for mode in MODES {
        let rest = ["--mode", mode, "--engine", "wasmi", "--concurrency", "8", "--duration", "200ms"];
        let arguments = [&["bench", "--error-format", "json", module, "echo", "hello"], &rest[..]].concat();
        for threads in 1..=2 {
            let begun = Instant::now();
            let Some(run) = with_threads(threads, &arguments) else { return };
            let said = if threads == 1 { "the clock" } else { "each of 8 callers" };
            lacked(run, "never_born", &["the system refused a thread", said]);
            assert!(begun.elapsed() < Duration::from_secs(20), "it waited for {:?}", begun.elapsed());
        }
    }
}

#[test]
fn a_module_that_is_too_large_for_a_file_is_compiled_and_nothing_of_it_is_left() {
    let caches = tempfile::tempdir().unwrap();
    let directory = caches.path().to_str().unwrap();
    // One block of 512 bytes or of a kibibyte is enough for the key, and not for any code. The
    // module's memory image would be a file too, so a module without one is called.
    let wat = Wat::guest("", "(call $respond (i32.const 0) (i32.const 4)) (i32.const 1)");
    for mode in MODES {
        let path = wat.path();
        let arguments = ["call", "--mode", mode, "--cache-dir", directory, path.to_str().unwrap(), "run"];
        let run = after("ulimit -f 1", &arguments);
        assert_eq!((run.code, &run.stdout[..]), (Some(0), &[0; 4][..]), "{}", run.stderr);
        for said in ["a compiled module is not kept in the cache", "File too large"] {
            assert!(run.stderr.contains(said), "{}", run.stderr);
        }
        let left: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "key" || name == "lock"), "{left:?}");
    }
}

#[test]
fn a_deeper_stack_is_an_option_and_its_limit_is_named() {
    // On either engine more than the default has room for.
    let wat = Wat::guest(
        "(func $down (param i32) (result i32)
           (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
           (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (local.get 0)))",
        "(drop (call $down (i32.const 60000))) (call $respond (i32.const 0) (i32.const 1)) (i32.const 1)",
    );
    for arguments in calls(&wat.path(), &["run"]) {
        let with = |stack: &str| {
            crate::program::run(
                texts(&arguments)
                    .into_iter()
                    .chain(["--stack", stack].into_iter().filter(|_| !stack.is_empty())),
            )
        };
        let error = with("").failed(3).error();
        assert_eq!(
            (&error["code"], &error["limit"]["name"], &error["limit"]["allowed"]),
            (&"stack_overflow".into(), &"stack".into(), &524_288.into()),
            "{error:#}"
        );
        with("16MiB").answered([0]);
        assert_eq!(with("64KiB").failed(3).error()["limit"]["allowed"], 65_536);
        let error = with("2GiB").failed(2).error();
        assert_eq!(error["code"], "unsupported");
        assert!(error["message"].as_str().unwrap().contains("`stack`"), "{error:#}");
    }
}
