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
    // No module at all is said, and waited out.
    fs::write(&module, "half").unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(errors.any(|line| line.starts_with("error:")));
    // Another SDK, another text.
    fs::copy(guest("assemblyscript.wasm"), &module).unwrap();
    assert_eq!(summary(), "0 passed, 1 failed");
    fs::write(&cases, "[[case]]\noperation = 'echo'\nanswer = ''\n").unwrap();
    assert_eq!(summary(), "1 passed, 0 failed");

    child.kill().unwrap();
    child.wait().unwrap();
}
