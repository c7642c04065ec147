//! From the command line to a server that serves, or to a reason why not.

use std::fs::File;
use std::process::Command;

use crate::program::{Folder, eventually, guest};

#[test]
fn a_folder_of_modules_serves_and_the_line_that_it_prints_works() {
    let folder = Folder::new(&["c", "rust"]);
    let server = folder.serve(&[]);
    assert!(server.said.ends_with("ready: 2 of 2 modules serve\n"), "{}", server.said);
    let line = server.said.lines().find_map(|line| line.strip_prefix("try        ")).unwrap();
    let output = Command::new("sh").args(["-c", &line.replace("curl", "curl --silent")]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "hello", "{line}");
    assert_eq!(server.call("rust", "echo", "hi"), (200, "hi".to_owned()));
    assert_eq!(server.get("/readyz"), (200, "ready\n".to_owned()));
}

#[test]
fn one_file_serves_as_its_stem() {
    let folder = Folder::new(&["rust"]);
    let server = folder.serve(&["modules/rust.wasm"]);
    assert_eq!(server.call("rust", "echo", "hi").0, 200);
}

#[test]
fn a_module_that_comes_later_is_served_and_a_bad_one_keeps_none_from_it() {
    let folder = Folder::new(&[]);
    let server = folder.serve(&[]);
    assert!(server.said.contains("no module yet: put NAME.wasm into ./modules"), "{}", server.said);
    assert!(server.said.ends_with("ready, without a module\n"), "{}", server.said);
    folder.write("modules/bad.wasm", "this is no module");
    folder.add("good", "rust");
    eventually(|| (server.call("good", "echo", "hi").0 == 200).then_some(()), || server.log());
    let (status, text) = eventually(
        || Some(server.get("/readyz?verbose")).filter(|(_, text)| text.contains("quarantined")),
        || server.log(),
    );
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("module bad: serves no version"), "{text}");
    assert_eq!(server.call("bad", "echo", "hi").0, 503);
}

#[test]
fn a_server_that_begins_with_a_bad_module_says_so_and_serves_the_others() {
    let folder = Folder::new(&["rust"]);
    folder.write("modules/bad.wasm", "this is no module");
    let mut server = folder.serve(&[]);
    assert!(server.said.ends_with("ready: 1 of 2 modules serve; these do not:\n"), "{}", server.said);
    server.until("  bad: ");
    assert!(
        server.said.ends_with('\n') && server.said.contains("not a WebAssembly module"),
        "{}",
        server.said
    );
    assert_eq!(server.call("rust", "echo", "hi").0, 200);
}

#[test]
fn a_configuration_with_problems_ends_it_with_all_of_them() {
    let folder = Folder::new(&["rust"]);
    folder.write("antiphon.toml", "[http]\nlistn = 1\nbody = 'big'\n");
    for arguments in [&["serve"][..], &["config", "check"], &["config", "show"]] {
        let said = folder.run(arguments).failed(2);
        assert!(said.starts_with("error: antiphon.toml:2:1: unknown key `listn` in [http]"), "{said}");
        assert!(said.contains("\nantiphon.toml:3:8: `http.body`: expected a size"), "{said}");
    }
    let said = folder.run(&["config", "check", "--error-format", "json"]).failed(2);
    let error: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(error["code"], "config");
    assert_eq!(
        (&error["details"][0]["line"], &error["details"][0]["nearest"]),
        (&2.into(), &"listen".into())
    );
    let said = folder.run(&["serve", "--config", "nope.toml"]).failed(2);
    assert!(said.contains("nope.toml: the file cannot be read"), "{said}");
}

#[test]
fn modules_that_were_named_have_to_be_there() {
    let folder = Folder::new(&[]);
    let said = folder.run(&["serve", "nope"]).failed(2);
    assert!(said.starts_with("error: --modules: there is no folder or file nope"), "{said}");
}

#[test]
fn a_port_in_use_and_a_state_in_use_are_named_with_their_keys() {
    let folder = Folder::new(&["rust"]);
    let server = folder.serve(&[]);
    let said = folder.run(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).failed(3);
    assert!(
        said.contains("cannot use ./state for the state (choose another folder with server.state)"),
        "{said}"
    );
    assert!(said.contains("caused by: process "), "{said}");
    let other = Folder::new(&["rust"]);
    let said = other.run(&["serve", "--listen", &server.calls, "--admin", "127.0.0.1:0"]).failed(3);
    assert!(said.contains(&format!("cannot listen on {}", server.calls)), "{said}");
    assert!(said.contains("(choose another address with http.listen)"), "{said}");
    // It released the state: the next one may have it.
    drop(other.serve(&[]));
}

#[test]
fn a_state_that_cannot_be_written_is_named() {
    let folder = Folder::new(&["rust"]);
    folder.write("file", "");
    folder.write("antiphon.toml", "server.state = 'file/state'");
    let said = folder.run(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).failed(3);
    assert!(said.starts_with("error: cannot use file/state for the state"), "{said}");
}

#[test]
fn config_prints_an_example_and_says_where_values_come_from() {
    let folder = Folder::new(&[]);
    let example = folder.run(&["config", "example"]).done();
    assert_eq!(
        folder.run(&["config", "check"]).done(),
        "ok: no file was read, so all keys have their defaults\n"
    );
    folder.write("antiphon.toml", &example);
    assert_eq!(folder.run(&["config", "check"]).done(), "ok: antiphon.toml\n");
    folder.write("antiphon.toml", "http.body = '2MiB'");
    let mut command = folder.command(&["config", "show", "--admin", "127.0.0.1:9"]);
    let shown = command.env("ANTIPHON__TELEMETRY__LOG", "debug").output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    for (line, origin) in [
        ("http.body = \"2MiB\"", "antiphon.toml:1"),
        ("http.admin = \"127.0.0.1:9\"", "--admin"),
        ("telemetry.log = \"debug\"", "ANTIPHON__TELEMETRY__LOG"),
        ("http.connections = 1024", "default"),
    ] {
        let shown = shown.lines().find(|shown| shown.starts_with(line)).unwrap_or_else(|| panic!("{shown}"));
        assert!(shown.ends_with(&format!("  # {origin}")), "{shown}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = folder.command(&["config", "example"]).stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(3));
}

#[test]
fn what_was_served_last_serves_again_after_a_restart() {
    let folder = Folder::new(&["rust"]);
    let mut server = folder.serve(&[]);
    server.operate(&folder, &["deploy", "other", guest("c").to_str().unwrap()]).done();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let server = folder.serve(&[]);
    assert_eq!((server.call("rust", "echo", "a").0, server.call("other", "echo", "b").0), (200, 200));
}

#[test]
fn the_server_takes_as_many_files_as_the_system_allows() {
    let folder = Folder::new(&["rust"]);
    let program = env!("CARGO_BIN_EXE_antiphon-server");
    let script =
        format!("ulimit -S -n 64; exec {program} serve --listen 127.0.0.1:0 --admin 127.0.0.1:0 2>log");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path(""))
        .stdout(File::create(folder.path("out")).unwrap())
        .spawn()
        .unwrap();
    let ready = eventually(
        || std::fs::read_to_string(folder.path("out")).ok().filter(|said| said.contains("ready")),
        || "it is not ready".to_owned(),
    );
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ready.contains("1 of 1"), "{ready}");
    // Only some systems tell.
    let Ok(limits) = limits else { return };
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<_> = files.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{files}");
}
