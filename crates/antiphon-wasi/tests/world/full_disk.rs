//! A file system that is full, for real: one of 64 KiB, in memory, which only this process sees.

use std::path::{Path, PathBuf};
use std::process::Command;

use antiphon_wasi::Access;

use super::guest::*;

/// The size of the file system in bytes.
const SIZE: u32 = 64 << 10;

/// Runs a test again in a process with a small file system, and returns where it is in that
/// process. Skips the test where the system lets no user make one.
fn small(test: &str) -> Option<PathBuf> {
    const CHILD: &str = "ANTIPHON_WASI_SMALL_DISK";

    if let Some(path) = std::env::var_os(CHILD) {
        return Some(path.into());
    }
    let place = tempfile::tempdir().unwrap();
    let inside = |run: &str| {
        let script = format!("mount -t tmpfs -o size={SIZE},nr_inodes=4 none \"${CHILD}\" && {run}");
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", &script]).env(CHILD, place.path());
        command
    };
    if !inside("true").output().is_ok_and(|probe| probe.status.success()) {
        eprintln!("skipped: this user may mount no file system");
        return None;
    }
    let program = std::env::current_exe().unwrap();
    let mut again = inside("exec \"$PROGRAM\" --exact \"$TEST\"");
    let ran = again.env("PROGRAM", program).env("TEST", test).output().unwrap();
    let printed = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success() && printed.contains("1 passed"), "{}\n{printed}", ran.status);
    None
}

#[test]
fn a_full_disk_is_an_error_number_and_what_is_freed_can_be_written_again() {
    let test = "full_disk::a_full_disk_is_an_error_number_and_what_is_freed_can_be_written_again";
    let Some(place) = small(test) else { return };
    let mut guest = Guest::new(&place, Access::ReadWrite);
    let fill = |guest: &mut Guest, fd: i32| -> (u32, i32) {
        let mut sum = 0;
        loop {
            match guest.write(fd, &[7; 10_000]) {
                Ok(count) => sum += count,
                Err(errno) => return (sum, errno),
            }
        }
    };
    let fd = guest.open("file", CREATE, READ | WRITE).unwrap();
    // The last write that succeeds is a short one.
    assert_eq!(fill(&mut guest, fd), (SIZE, NOSPC));
    assert_eq!(guest.pwrite(fd, b"more", i64::from(SIZE)), Err(NOSPC));
    assert_eq!(guest.pwrite(fd, b"over", 0), Ok(4), "what is there may be changed");
    let other = guest.open("other", CREATE, READ | WRITE).unwrap();
    assert_eq!(guest.write(other, b"x"), Err(NOSPC));
    assert_eq!(guest.content("other"), Ok(vec![]));

    guest.unlink("file").unwrap();
    guest.close(fd).unwrap();
    assert_eq!(fill(&mut guest, other), (SIZE, NOSPC));

    // The root, `other`, and two more.
    assert_eq!(guest.create_directory("one"), Ok(()));
    assert_eq!(guest.open("two", CREATE, WRITE), Ok(4), "the descriptor that is free again");
    assert_eq!(guest.create_directory("three"), Err(NOSPC));
    assert_eq!(guest.open("three", CREATE, WRITE), Err(NOSPC));
    assert!(!Path::new(&place).join("three").exists());
    guest.remove_directory("one").unwrap();
    assert_eq!(guest.create_directory("three"), Ok(()));
}
