//! `antiphon watch`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::program::{command, guest};

#[test]
fn the_cases_run_again_when_the_module_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (module, cases) = (dir.path().join("guest.wasm"), dir.path().join("cases.toml"));
    fs::copy(guest("c.wasm"), &module).unwrap();
    let text = "[[case]]\noperation = 'nope'\nerror = { text = 'No handler registered for function nope' }\n";
    fs::write(&cases, text).unwrap();
    let arguments = ["watch", module.to_str().unwrap(), "--cases", cases.to_str().unwrap()];
    let mut child = command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut summary = || lines.find(|line| line.ends_with(" failed")).unwrap();

    assert_eq!(summary(), "1 passed, 0 failed");
    // A broken module is reported, and the watch goes on.
    fs::write(&module, "half").unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(errors.any(|line| line.starts_with("error:")));
    // Another SDK reports failures with another text.
    fs::copy(guest("assemblyscript.wasm"), &module).unwrap();
    assert_eq!(summary(), "0 passed, 1 failed");
    fs::write(&cases, "[[case]]\noperation = 'echo'\nanswer = ''\n").unwrap();
    assert_eq!(summary(), "1 passed, 0 failed");

    child.kill().unwrap();
    child.wait().unwrap();
}

/// Runs `antiphon watch` on a guest and cases, presses Ctrl-C once `ready` accepts the lines so
/// far, and returns what was printed. Checks that the signal ends the program at once.
#[cfg(target_os = "linux")]
fn until_interrupted(
    module: &std::path::Path,
    cases: &str,
    ready: impl Fn(&[String]) -> bool,
) -> Vec<String> {
    use std::time::{Duration, Instant};

    use crate::program::interrupt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cases.toml");
    fs::write(&path, cases).unwrap();
    let watch = ["watch".as_ref(), module.as_os_str(), "--cases".as_ref(), path.as_os_str()];
    let mut child = interrupt::command(watch).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut printed = Vec::new();
    while !ready(&printed) {
        printed.push(lines.next().unwrap());
    }
    // Lands in the wait for a change, or in the endless loop of a guest.
    std::thread::sleep(Duration::from_millis(700));
    let pressed = Instant::now();
    interrupt::press(&child);
    interrupt::ended(child.wait().unwrap());
    assert!(pressed.elapsed() < Duration::from_secs(2), "{:?}", pressed.elapsed());
    let mut errors = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut errors).unwrap();
    assert_eq!(errors, "");
    printed.extend(lines);
    printed
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_it_between_two_runs() {
    let cases = "[[case]]\noperation = 'echo'\npayload = 'hi'\nanswer = 'hi'\n";
    let printed = until_interrupted(&guest("c.wasm"), cases, |lines| lines.len() == 3);
    assert_eq!(printed, ["ok    echo", "1 passed, 0 failed", ""]);
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_it_while_a_case_runs_and_nothing_is_half_written() {
    use crate::program::Wat;

    let endless = Wat::guest("", "(loop $forever (br $forever)) unreachable");
    // Nothing is printed before the first case has ended, and a deadline takes longer than the
    // test.
    let cases = "[[case]]\noperation = 'a'\nerror = { kind = 'deadline_exceeded' }\n".repeat(20);
    let printed = until_interrupted(&endless.path(), &cases, |_| true);
    assert_eq!(printed, [""; 0]);
}
