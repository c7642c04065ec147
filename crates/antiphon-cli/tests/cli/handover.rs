//! Commands of operators, which antiphon-server does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::program::{Run, run};

/// Copies the program into a folder of its own, so that nothing is beside it.
fn alone() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(env!("CARGO_BIN_EXE_antiphon"), folder.path().join("antiphon")).unwrap();
    folder
}

/// Writes a program that prints its name and arguments, and exits with 7.
fn stand_in(folder: &Path, name: &str) {
    fs::create_dir_all(folder).unwrap();
    let file = folder.join("antiphon-server");
    fs::write(&file, format!("#!/bin/sh\necho {name} \"$@\"\nexit 7\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn run_in(folder: &Path, path: &Path, arguments: &[&str]) -> Run {
    let mut command = Command::new(folder.join("antiphon"));
    command.args(arguments).env("PATH", format!("{}:/bin:/usr/bin", path.display()));
    command.output().unwrap().into()
}

#[test]
fn the_program_beside_this_one_comes_before_that_of_the_path() {
    let folder = alone();
    let path = folder.path().join("bin");
    stand_in(&path, "of-path");
    let run = run_in(folder.path(), &path, &["serve", "--listen", "a b"]);
    assert_eq!((run.code, run.text()), (Some(7), "of-path serve --listen a b\n"), "{}", run.stderr);
    stand_in(folder.path(), "beside");
    let run = run_in(folder.path(), &path, &["call", "--url", "http://x", "m", "op"]);
    assert_eq!((run.code, run.text()), (Some(7), "beside call --url http://x m op\n"), "{}", run.stderr);
}

#[test]
fn a_program_that_is_missing_is_named_with_the_way_to_install_it() {
    let folder = alone();
    let run = run_in(folder.path(), folder.path(), &["serve"]).failed(2);
    let expected = "error: `antiphon serve` is done by antiphon-server, which is neither beside this program nor on the \
                    path; install it with `cargo install --locked --path crates/antiphon-server`";
    assert!(run.stderr.starts_with(expected), "{}", run.stderr);
    let run = run_in(folder.path(), folder.path(), &["--error-format", "json", "status"]).failed(2);
    assert_eq!(run.error()["code"], "usage");
}

#[test]
fn the_help_lists_what_is_handed_over() {
    let help = run(["--help"]);
    let (_, section) = help.text().split_once("\nCommands of operators").unwrap();
    for verb in ["serve", "config", "status", "deploy", "promote", "rollback", "remove", "logs"] {
        assert!(section.contains(&format!("\n  {verb} ")), "{verb}");
    }
}
