//! Runs every command of docs/serving.md, in the order of the page, and compares its output.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

const PAGE: &str = include_str!("../../../../docs/serving.md");

/// Returns the commands of the page, each with its output; `[..]` matches anything within a line.
fn commands() -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for block in PAGE.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
                (None, Some((_, output))) => output.push(line.to_owned()),
                (None, None) => panic!("a block begins with output: {line}"),
            }
        }
    }
    commands
}

/// Returns two ports that are free now.
fn ports() -> [String; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port().to_string())
}

#[test]
fn every_command_of_the_page_does_what_it_shows() {
    let (commands, [calls, admin]) = (commands(), ports());
    assert!(commands.len() > 20, "only {} commands", commands.len());
    let on_ports = |text: &str| text.replace("7470", &calls).replace("7471", &admin);
    let mut script = "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n".to_owned();
    for (number, (command, _)) in commands.iter().enumerate() {
        script.push_str(&format!("echo '--- {number}'\n{}\n", on_ports(command)));
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_antiphon-server")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("ANTIPHON", repository)
        .env("ANTIPHON__HTTP__LISTEN", format!("127.0.0.1:{calls}"))
        .env("ANTIPHON__HTTP__ADMIN", format!("127.0.0.1:{admin}"))
        .env("ANTIPHON_ADMIN_URL", format!("http://127.0.0.1:{admin}"))
        .env("ANTIPHON_URL", format!("http://127.0.0.1:{calls}"))
        .env_remove("ANTIPHON_TOKEN")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let mut parts = output.split("--- ").skip(1);
    for (number, (command, expected)) in commands.iter().enumerate() {
        let part = parts.next().unwrap_or_else(|| panic!("$ {command}\nwas not run:\n{output}"));
        let (head, got) = part.split_once('\n').unwrap();
        assert_eq!(head, number.to_string(), "{output}");
        let got: Vec<_> = got.lines().collect();
        assert_eq!(got.len(), expected.len(), "$ {command}\n  got:   {got:#?}\n  shown: {expected:#?}");
        for (got, expected) in got.iter().zip(expected) {
            assert!(like(got, &on_ports(expected)), "$ {command}\n  got:   {got}\n  shown: {expected}");
        }
    }
}

fn like(got: &str, expected: &str) -> bool {
    let parts: Vec<_> = expected.split("[..]").collect();
    let mut rest = got;
    for (number, part) in parts.iter().enumerate() {
        match rest.split_once(part) {
            Some((skipped, after)) if number > 0 || skipped.is_empty() => rest = after,
            _ => return false,
        }
    }
    rest.is_empty() || parts.last() == Some(&"")
}
