//! Commands that talk to a server.

use crate::program::{Folder, Run, guest};

/// The SHA-256 of `secret`, as the configuration wants it.
const HASH: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

#[test]
fn a_canary_is_deployed_promoted_rolled_back_and_removed() {
    let folder = Folder::new(&["rust"]);
    let server = folder.serve(&[]);
    let operate = |arguments: &[&str]| server.operate(&folder, arguments);
    let next = guest("c");
    let said =
        operate(&["deploy", "rust", next.to_str().unwrap(), "--share", "10", "--note", "a & b"]).done();
    assert!(said.contains("rust, revision 2\n  note: a & b\n"), "{said}");
    assert!(said.contains("canary   10%") && said.contains("serving  90%"), "{said}");
    let table = operate(&["status"]).done();
    assert!(table.starts_with("MODULE  REVISION  SERVING") && table.contains(" 10%"), "{table}");
    let said = operate(&["promote", "rust", "--revision", "1"]).failed(3);
    assert!(said.contains("[revision_wrong"), "{said}");
    assert!(operate(&["promote", "rust", "--revision", "2"]).done().starts_with("rust, revision 3\n"));
    assert!(operate(&["rollback", "rust"]).done().starts_with("rust, revision 4\n"));
    assert!(operate(&["drain", "rust"]).done().starts_with("rust, revision 5\n"));
    assert_eq!(server.call("rust", "echo", "").0, 503);
    let all: serde_json::Value =
        serde_json::from_str(&operate(&["status", "--format", "json"]).done()).unwrap();
    assert_eq!(all["modules"][0]["name"], "rust");
    assert_eq!(operate(&["remove", "rust"]).done(), "removed rust\n");
    assert_eq!(server.call("rust", "echo", "").0, 404);
    let said = operate(&["status", "rust"]).failed(3);
    assert!(said.contains("[unknown_module"), "{said}");
}

#[test]
fn what_is_no_module_is_refused_with_its_reason_and_code() {
    let folder = Folder::new(&["rust"]);
    let server = folder.serve(&[]);
    folder.write("bad.wasm", "this is no module");
    let said = server.operate(&folder, &["deploy", "rust", "bad.wasm"]).failed(4);
    assert!(said.starts_with("error: not a WebAssembly module"), "{said}");
    assert_eq!(server.call("rust", "echo", "hi").0, 200);
    let said = server.operate(&folder, &["deploy", "rust", "nope.wasm"]).failed(2);
    assert!(said.starts_with("error: cannot read nope.wasm"), "{said}");
}

#[test]
fn a_call_has_the_exit_code_of_its_outcome() {
    let folder = Folder::new(&["rust"]);
    let server = folder.serve(&[]);
    let url = format!("http://{}", server.calls);
    let call = |rest: &[&str]| -> Run { folder.run(&[&["call", "--url", &url], rest].concat()) };
    assert_eq!(call(&["rust", "echo", "hello"]).done(), "hello");
    folder.write("payload", "from a file");
    assert_eq!(call(&["rust", "echo", "--payload-file", "payload", "--timeout", "1s"]).done(), "from a file");
    let said = call(&["rust", "fail", "x"]).failed(1);
    assert!(said.contains("the guest refused: x") && said.contains("[guest_failed, fault: guest"), "{said}");
    let said = call(&["rust", "panic", "x"]).failed(3);
    assert!(said.contains("[trapped, fault: guest"), "{said}");
    let error = call(&["nope", "echo", "--error-format", "json"]).failed(3);
    let error: serde_json::Value = serde_json::from_str(&error).unwrap();
    assert_eq!((&error["code"], &error["details"]["status"]), (&"unknown_module".into(), &404.into()));
    let said = folder.run(&["call", "--url", "ftp://x", "m", "op"]).failed(2);
    assert!(said.contains("it begins with http: or https:"), "{said}");
    drop(server);
    let said = folder.run(&["status", "--url", "http://127.0.0.1:1"]).failed(3);
    assert!(said.starts_with("error: cannot connect to 127.0.0.1:1; is a server running there?"), "{said}");
}

#[test]
fn tokens_come_from_a_file_or_the_environment_and_stand_in_no_output() {
    let folder = Folder::new(&["rust"]);
    folder.write("token", "secret\n");
    folder.write(
        "antiphon.toml",
        &format!("[auth]\ntokens = [{{ name = 'ops', sha256 = '{HASH}', role = 'admin' }}]"),
    );
    let server = folder.serve(&[]);
    assert!(server.said.contains("-H \"Authorization: Bearer $TOKEN\""), "{}", server.said);
    let said = server.operate(&folder, &["status"]).failed(3);
    assert!(said.contains("[unauthorized"), "{said}");
    assert!(server.operate(&folder, &["status", "--token-file", "token"]).done().contains("rust"));
    let url = format!("http://{}", server.admin);
    let output = folder.command(&["status", "--url", &url]).env("ANTIPHON_TOKEN", "secret").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = folder.run(&["status", "--url", "http://secret@127.0.0.1:1"]).failed(2);
    assert!(said.contains("it has no user"), "{said}");
    assert!(!server.log().contains("secret"), "{}", server.log());
}

#[test]
fn a_server_with_tls_is_known_by_its_authority() {
    let folder = Folder::new(&["rust"]);
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    folder.write("tls.crt", &made.cert.pem());
    folder.write("tls.key", &made.signing_key.serialize_pem());
    folder.write("antiphon.toml", "http.tls = { cert = 'tls.crt', key = 'tls.key' }");
    let server = folder.serve(&[]);
    let url = format!("https://{}", server.calls);
    assert_eq!(folder.run(&["call", "--url", &url, "--ca", "tls.crt", "rust", "echo", "hi"]).done(), "hi");
    let said = folder.run(&["call", "--url", &url, "rust", "echo", "hi"]).failed(2);
    assert!(said.contains("needs --ca"), "{said}");
}

#[test]
fn logs_of_guests_are_followed() {
    let folder = Folder::new(&["rust"]);
    let server = folder.serve(&[]);
    assert_eq!(server.call("rust", "log", "a line").0, 200);
    let said = server.operate(&folder, &["logs", "rust", "--for", "500ms"]).done();
    assert!(said.contains(" info  log: a line\n"), "{said}");
}
