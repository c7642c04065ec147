//! Version and completions.

use std::process::Stdio;

use crate::program::{command, run};

#[test]
fn the_version_is_that_of_the_package() {
    run(["--version"]).answered(concat!("antiphon ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn completions_know_the_commands_and_their_options() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = run(["completions", shell]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        assert!(run.text().contains("host-call"), "{shell}");
    }
    run(["completions", "tcsh"]).failed(2);
}

#[test]
fn completions_survive_a_reader_that_goes_away() {
    let mut child =
        command(["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_no_success() {
    for arguments in [&["--help"][..], &["--version"], &["call", "--help"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let run = command(arguments).stdout(full).output().unwrap();
        assert_eq!(run.status.code(), Some(3), "{arguments:?}");
        assert!(String::from_utf8_lossy(&run.stderr).contains("cannot write to standard output"));
    }
}

#[test]
fn no_option_stands_under_the_heading_of_others() {
    let help = run(["test", "--help"]);
    let (ours, cache) = help.text().split_once("\nCache of compiled modules:\n").unwrap();
    for option in ["--cases", "--update", "--junit"] {
        assert!(ours.contains(&format!("\n      {option}")), "{option}: {ours}");
    }
    assert!(cache.contains("\n      --cache-dir <DIR>"), "{cache}");
}
