//! Ways out of a granted directory that a guest might try, alone or with a helper outside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use antiphon_wasi::Access;
use tempfile::TempDir;

use super::guest::*;

/// A directory with a file beside it that no guest may see, and a guest in the directory.
fn prison() -> (TempDir, Guest) {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    fs::create_dir_all(outside.path().join("inside/sub")).unwrap();
    fs::write(outside.path().join("inside/file"), "file").unwrap();
    let guest = Guest::new(&outside.path().join("inside"), Access::ReadWrite);
    (outside, guest)
}

/// What every function that takes a path answers for one that leads out.
fn tries(guest: &mut Guest, path: &str) -> Vec<Result<(), i32>> {
    vec![
        guest.open(path, 0, READ).map(drop),
        guest.open(path, CREATE, WRITE).map(drop),
        guest.open(path, DIRECTORY, READ).map(drop),
        guest.stat(path, 1).map(drop),
        guest.set_times(path, 1, (0, 0), 1),
        guest.create_directory(path),
        guest.remove_directory(path),
        guest.unlink(path),
        guest.rename(path, (3, "here")),
        guest.rename("file", (3, path)),
        guest.link(path, (3, "here")),
        guest.link("file", (3, path)),
        guest.symlink("file", path),
        guest.read_link(path, 100).map(drop),
    ]
}

#[test]
fn no_path_leads_out() {
    let (outside, mut guest) = prison();
    let absolute = outside.path().join("secret");
    let paths = [
        "../secret",
        "sub/../../secret",
        "./../secret",
        "sub/../sub/../../secret",
        "../inside/../secret",
        "/etc/passwd",
        "//secret",
        absolute.to_str().unwrap(),
    ];
    for path in paths {
        for (number, answer) in tries(&mut guest, path).into_iter().enumerate() {
            assert_eq!(answer, Err(PERM), "{path}, {number}");
        }
    }
    for path in ["..", "sub/../..", "/"] {
        for answer in [guest.open(path, 0, READ).map(drop), guest.open(path, DIRECTORY, READ).map(drop)] {
            assert_eq!(answer, Err(PERM), "{path}");
        }
        assert!(tries(&mut guest, path).iter().all(Result::is_err), "{path}");
    }
    assert_eq!(guest.content("sub/../file"), Ok(b"file".to_vec()), "a way back in that never leaves");
    let names: Vec<_> =
        fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
}

#[test]
fn no_link_leads_out() {
    let (outside, mut guest) = prison();
    let inside = outside.path().join("inside");
    symlink(outside.path().join("secret"), inside.join("absolute")).unwrap();
    symlink("../secret", inside.join("relative")).unwrap();
    symlink("..", inside.join("up")).unwrap();
    symlink("relative", inside.join("twice")).unwrap();
    for path in ["absolute", "relative", "twice", "up/secret", "up/inside/file"] {
        assert_eq!(guest.open(path, 0, READ), Err(PERM), "{path}");
        assert_eq!(guest.open(path, CREATE | TRUNCATE, WRITE), Err(PERM), "{path}");
        assert_eq!(guest.stat(path, 1), Err(PERM), "{path}");
        assert_eq!(guest.set_times(path, 1, (0, 0), 1), Err(PERM), "{path}");
    }
    for path in ["up/secret", "up/inside/file", "up/new"] {
        for (number, answer) in tries(&mut guest, path).into_iter().enumerate() {
            assert_eq!(answer, Err(PERM), "{path}, {number}");
        }
    }
    assert_eq!(guest.read_link("relative", 100), Ok(b"../secret".to_vec()));
    assert_eq!(guest.read_link("absolute", 100), Err(PERM), "which would tell of the host");
    // The guest's own: one to an absolute path is refused, others lead nowhere.
    assert_eq!(guest.symlink("/etc/passwd", "mine"), Err(PERM));
    assert_eq!(guest.symlink("../secret", "mine"), Ok(()));
    assert_eq!(guest.content("mine"), Err(PERM));
    // A hard link to a link is one to the link.
    assert_eq!(guest.link("mine", (3, "hard")), Ok(()));
    assert_eq!(guest.content("hard"), Err(PERM));
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
}

#[test]
fn a_directory_that_is_moved_out_takes_nobody_along() {
    let (outside, mut guest) = prison();
    let sub = guest.open("sub", DIRECTORY, READ).unwrap();
    // The host moves it. The guest keeps the directory that it has open, and no more.
    fs::rename(outside.path().join("inside/sub"), outside.path().join("moved")).unwrap();
    assert_eq!(guest.open_at(sub, "../secret", 0, READ, 0), Err(PERM));
    assert_eq!(guest.open_at(sub, "..", DIRECTORY, READ, 0), Err(PERM));
    assert!(guest.open_at(sub, "new", CREATE, WRITE, 0).is_ok());
}

/// Swaps a directory for a link to the outside and back as fast as it can, while `walk` runs.
fn while_swapping(outside: &Path, walk: impl FnOnce()) {
    let inside = outside.join("inside");
    symlink("..", inside.join("link")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (sub, link, spare) = (inside.join("sub"), inside.join("link"), inside.join("spare"));
            while !done.load(Ordering::Relaxed) {
                fs::rename(&sub, &spare).unwrap();
                fs::rename(&link, &sub).unwrap();
                fs::rename(&sub, &link).unwrap();
                fs::rename(&spare, &sub).unwrap();
            }
        });
        walk();
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_directory_that_becomes_a_link_during_the_walk_leads_nowhere() {
    let (outside, mut guest) = prison();
    fs::write(outside.path().join("inside/sub/secret"), "mine").unwrap();
    fs::write(outside.path().join("inside/sub/mine"), "mine").unwrap();
    while_swapping(outside.path(), || {
        let mut found = 0;
        for _ in 0..3_000 {
            match guest.content("sub/secret") {
                Ok(content) => {
                    assert_eq!(content, b"mine");
                    found += 1;
                }
                // Not there for a moment, or a link that leads out, or the system gave up because
                // something moved.
                Err(errno) => assert!([NOENT, PERM, 6].contains(&errno), "{errno}"),
            }
            for answer in [
                guest.rename("sub/mine", (3, "sub/secret2")),
                guest.rename("sub/secret2", (3, "sub/mine")),
                guest.create_directory("sub/made"),
                guest.remove_directory("sub/made"),
                guest.open("sub/made", CREATE, WRITE).and_then(|fd| guest.close(fd)),
                guest.unlink("sub/made"),
                guest.set_times("sub/secret", 1, (0, 0), 1),
            ] {
                assert!(
                    answer.map_or_else(
                        |errno| [NOENT, PERM, EXIST, ISDIR, NOTDIR, 6].contains(&errno),
                        |()| true
                    )
                );
            }
        }
        assert!(found > 0, "it was a directory at times");
    });
    let mut names: Vec<_> =
        fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["inside", "secret"], "nothing was made or taken outside");
    let secret = fs::metadata(outside.path().join("secret")).unwrap();
    assert!(secret.accessed().unwrap() > std::time::SystemTime::UNIX_EPOCH);
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
}

#[test]
fn links_that_are_made_while_they_are_walked_lead_nowhere() {
    let (outside, mut guest) = prison();
    let inside = outside.path().join("inside");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                symlink("../secret", inside.join("new")).unwrap();
                fs::remove_file(inside.join("new")).unwrap();
                fs::write(inside.join("new"), "file").unwrap();
                fs::remove_file(inside.join("new")).unwrap();
            }
        });
        for _ in 0..3_000 {
            if let Ok(content) = guest.content("new") {
                assert_ne!(content, b"secret");
            }
            let (path, length) = guest.path("new");
            let _ = guest.call(|call| call.path_filestat_set_times(3, 1, path, length, 0, 0, 1));
        }
        done.store(true, Ordering::Relaxed);
    });
    let accessed = fs::metadata(outside.path().join("secret")).unwrap().accessed().unwrap();
    assert!(accessed > std::time::SystemTime::UNIX_EPOCH, "nobody set its times");
}
