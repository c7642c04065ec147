//! Changes of the configuration while the server serves.

use crate::program::{Folder, eventually};

#[test]
fn a_changed_file_changes_what_can_change_and_names_what_waits() {
    let folder = Folder::new(&["rust"]);
    let server = folder.serve(&[]);
    assert_eq!(server.call("rust", "echo", "hello").0, 200);
    folder.write("antiphon.toml", "limits.request = 3\nhttp.connections = 7\n");
    server.logs("the new configuration holds, but http.connections only from the next start on");
    eventually(|| (server.call("rust", "echo", "hello").0 == 413).then_some(()), || server.log());
    assert_eq!(server.call("rust", "echo", "hey").0, 200);
    // A file beside the module counts too.
    folder.write("antiphon.toml", "");
    folder.write("modules/rust.toml", "limits.request = 4\n");
    eventually(|| (server.call("rust", "echo", "four").0 == 200).then_some(()), || server.log());
    eventually(|| (server.call("rust", "echo", "fives").0 == 413).then_some(()), || server.log());
}

#[test]
fn a_bad_file_changes_nothing_and_is_said() {
    let folder = Folder::new(&["rust"]);
    let server = folder.serve(&[]);
    folder.write("antiphon.toml", "limits.request = 3\nlimits.requst = 4\n");
    server.logs(
        "the new configuration has problems, so the old one holds:\nantiphon.toml:2:8: unknown key `requst`",
    );
    assert_eq!(server.call("rust", "echo", "hello").0, 200);
    let events = server.operate(&folder, &["events", "--for", "300ms"]).done();
    assert!(events.contains("config_refused") && events.contains("unknown key `requst`"), "{events}");
    folder.write("antiphon.toml", "limits.request = 3\n");
    eventually(|| (server.call("rust", "echo", "hello").0 == 413).then_some(()), || server.log());
}

#[test]
fn a_hangup_reads_the_file_again_and_levels_of_the_log_change() {
    let folder = Folder::new(&["rust"]);
    folder.write("antiphon.toml", "telemetry = { log = 'info', log_format = 'json' }");
    let server = folder.serve(&[]);
    server.signal("HUP");
    server.logs("the new configuration holds");
    let line = server.log().lines().last().unwrap().to_owned();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "INFO", "{line}");
    folder.write("antiphon.toml", "telemetry = { log = 'off', log_format = 'json' }");
    // Nothing is logged from then on, so the events tell.
    let reloaded =
        || server.operate(&folder, &["events", "--for", "200ms"]).stdout.matches("config_reloaded").count();
    eventually(|| (reloaded() == 2).then_some(()), || server.log());
    let before = server.log();
    folder.add("c", "c");
    eventually(|| (server.call("c", "echo", "").0 == 200).then_some(()), || server.log());
    assert_eq!(server.log(), before);
}
