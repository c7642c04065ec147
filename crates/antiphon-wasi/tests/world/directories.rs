//! What a guest may do in a directory that it was granted.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::time::{Duration, SystemTime};

use antiphon_wasi::{Abi, Access, MAX_DESCRIPTORS, MAX_LISTED, MAX_TRANSFER, World};

use super::guest::*;

#[test]
fn granted_directories_are_preopened_from_three_on() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut guest = Guest::new(one.path(), Access::ReadWrite);
    guest.session.grant(two.path(), "/other", Access::ReadOnly).unwrap();
    for (fd, name) in [(3, "/data"), (4, "/other")] {
        guest.call(|call| call.fd_prestat_get(fd, RESULT)).unwrap();
        assert_eq!(guest.u64_at(RESULT), u64::try_from(name.len()).unwrap() << 32, "kind 0, and its length");
        let length = i32::try_from(name.len()).unwrap();
        assert_eq!(guest.call(|call| call.fd_prestat_dir_name(fd, 0, length - 1)), Err(NAMETOOLONG));
        guest.call(|call| call.fd_prestat_dir_name(fd, 0, length)).unwrap();
        assert_eq!(&guest.memory[..name.len()], name.as_bytes());
    }
    for (fd, errno) in [(2, NOTDIR), (5, BADF), (-1, BADF)] {
        assert_eq!(guest.call(|call| call.fd_prestat_get(fd, RESULT)), Err(BADF));
        assert_eq!(guest.call(|call| call.fd_prestat_dir_name(fd, 0, 9)), Err(errno));
    }
    assert!(World::default().session().grant("/no/such/directory", "/", Access::ReadOnly).is_err());
    let file = one.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(World::default().session().grant(file, "/", Access::ReadOnly).is_err());
}

#[test]
fn a_file_is_created_written_read_and_appended_to() {
    let (directory, mut guest) = Guest::writable();
    let fd = guest.open("file", CREATE | EXCLUSIVE, READ | WRITE).unwrap();
    assert_eq!(fd, 4, "the lowest that is free");
    assert_eq!(guest.write(fd, b"hello"), Ok(5));
    assert_eq!(guest.seek(fd, 0, 1), Ok(5));
    assert_eq!(guest.read(fd, 10), Ok(vec![]), "at its end");
    assert_eq!(guest.seek(fd, 1, 0), Ok(1));
    assert_eq!(guest.read(fd, 3), Ok(b"ell".to_vec()));
    assert_eq!(guest.pread(fd, 9, 3), Ok(b"lo".to_vec()));
    assert_eq!(guest.pwrite(fd, b"HE", 0), Ok(2));
    guest.call(|call| call.fd_tell(fd, RESULT)).unwrap();
    assert_eq!(guest.u64_at(RESULT), 4, "not moved by either");
    assert_eq!(guest.seek(fd, -1, 2), Ok(4));
    assert_eq!(guest.seek(fd, -5, 1), Err(INVAL));
    assert_eq!(guest.seek(fd, -1, 0), Err(INVAL));
    assert_eq!(guest.seek(fd, 0, 3), Err(INVAL));
    assert_eq!(guest.open("file", CREATE | EXCLUSIVE, WRITE), Err(EXIST));

    let more = guest.open_at(3, "file", 0, WRITE, APPEND).unwrap();
    assert_eq!(guest.write(more, b"!"), Ok(1));
    assert_eq!(guest.read(more, 1), Err(BADF), "not opened for reading");
    assert_eq!(guest.seek(more, 0, 0), Ok(0));
    assert_eq!(guest.write(more, b"!"), Ok(1));
    assert_eq!(fs::read(directory.path().join("file")).unwrap(), b"HEllo!!");
    guest.call(|call| call.fd_fdstat_set_flags(more, 0)).unwrap();
    assert_eq!(guest.seek(more, 0, 0), Ok(0));
    assert_eq!(guest.write(more, b"h"), Ok(1));
    guest.call(|call| call.fd_fdstat_set_flags(more, APPEND)).unwrap();
    assert_eq!(guest.write(more, b"?"), Ok(1));
    assert_eq!(fs::read(directory.path().join("file")).unwrap(), b"hEllo!!?");
    assert_eq!(guest.call(|call| call.fd_fdstat_set_flags(more, 16)), Err(INVAL));

    let truncated = guest.open_at(3, "file", TRUNCATE, WRITE, APPEND).unwrap();
    assert_eq!((guest.write(truncated, b"a"), guest.seek(truncated, 0, 0)), (Ok(1), Ok(0)));
    assert_eq!(guest.write(truncated, b"b"), Ok(1));
    assert_eq!(guest.content("file"), Ok(b"ab".to_vec()));
    guest.call(|call| call.fd_filestat_set_size(truncated, 4)).unwrap();
    assert_eq!(guest.content("file"), Ok(b"ab\0\0".to_vec()));
    assert_eq!(guest.call(|call| call.fd_sync(fd)), Ok(()));
    assert_eq!(guest.call(|call| call.fd_datasync(3)), Ok(()), "a directory too");
    assert_eq!(guest.call(|call| call.fd_sync(1)), Err(BADF));
    for fd in [fd, more, truncated] {
        assert_eq!(guest.close(fd), Ok(()));
        assert_eq!(guest.close(fd), Err(BADF));
    }
}

#[test]
fn what_was_opened_for_one_thing_does_not_do_the_other() {
    let (directory, mut guest) = Guest::writable();
    fs::write(directory.path().join("file"), "text").unwrap();
    let created = guest.open("new", CREATE, READ).unwrap();
    assert_eq!(guest.write(created, b"x"), Err(BADF));
    let reader = guest.open("file", 0, READ).unwrap();
    assert_eq!(guest.write(reader, b"x"), Err(BADF));
    assert_eq!(guest.call(|call| call.fd_filestat_set_size(reader, 0)), Err(INVAL));
    assert_eq!(guest.call(|call| call.fd_allocate(reader, 0, 1)), Err(NOTSUP));
    assert_eq!(guest.call(|call| call.fd_advise(reader, 0, 0, 5)), Ok(()));
    assert_eq!(guest.call(|call| call.fd_advise(reader, 0, 0, 6)), Err(INVAL));
    assert_eq!(guest.call(|call| call.fd_fdstat_set_rights(reader, 0, 0)), Err(NOTSUP));
    assert_eq!(guest.call(|call| call.fd_readdir(reader, 0, 64, 0, RESULT)), Err(BADF));
    assert_eq!(guest.open_at(reader, "x", 0, READ, 0), Err(NOTDIR));
    assert_eq!(guest.open_at(1, "x", 0, READ, 0), Err(BADF));
    for call in [guest.read(3, 1).map(drop), guest.write(3, b"x").map(drop), guest.seek(3, 0, 0).map(drop)] {
        assert_eq!(call, Err(BADF), "of a directory");
    }
    assert_eq!(guest.open("file/", 0, READ), Err(NOTDIR));
    assert_eq!(guest.open("file", DIRECTORY, READ), Err(NOTDIR));
    assert_eq!(guest.open(".", 0, WRITE), Err(ISDIR));
    assert_eq!(guest.open("missing", 0, READ), Err(NOENT));
    assert_eq!(guest.open("", 0, READ), Err(NOENT));
    for wrong in [16, -1, DIRECTORY | CREATE, DIRECTORY | TRUNCATE] {
        assert_eq!(guest.open("file", wrong, READ), Err(INVAL), "{wrong}");
    }
    assert_eq!(guest.open_at(3, "file", 0, READ, 32), Err(INVAL));
    let synced = guest.open_at(3, "file", 0, WRITE, 2 | 4 | 8 | 16).unwrap();
    guest.call(|call| call.fd_fdstat_get(synced, RESULT)).unwrap();
    assert_eq!(guest.u64_at(RESULT), 4 | (30 << 16), "a regular file with its flags");
}

#[test]
fn rights_are_those_that_a_c_library_asks_for() {
    let (directory, mut guest) = Guest::writable();
    fs::write(directory.path().join("file"), "").unwrap();
    fs::create_dir(directory.path().join("sub")).unwrap();
    let mut rights = |fd| {
        guest.call(|call| call.fd_fdstat_get(fd, RESULT)).unwrap();
        (guest.u64_at(RESULT), guest.u64_at(RESULT + 8), guest.u64_at(RESULT + 16))
    };
    // Those of a preopened directory in Wasmtime.
    let (base, inheriting) = (0x07b7_fe00, 0x0fff_ffff & !(1 << 19));
    assert_eq!(rights(3), (3, base, inheriting));
    let sub = guest.open("sub", DIRECTORY, READ).unwrap();
    let read = guest.open("file", 0, READ).unwrap();
    let write = guest.open("file", 0, WRITE).unwrap();
    let mut rights = |fd| {
        guest.call(|call| call.fd_fdstat_get(fd, RESULT)).unwrap();
        (guest.u64_at(RESULT), guest.u64_at(RESULT + 8), guest.u64_at(RESULT + 16))
    };
    assert_eq!(rights(sub), (3, base, inheriting), "so that files in it can be opened for writing");
    let (read, write) = (rights(read).1, rights(write).1);
    assert_eq!((read & 0x42, write & 0x42, read & 0x24, write & 0x24), (0x02, 0x40, 0x24, 0x24));
}

#[test]
fn directories_are_made_listed_and_removed() {
    let (directory, mut guest) = Guest::writable();
    assert_eq!(guest.create_directory("sub"), Ok(()));
    assert_eq!(guest.create_directory("sub"), Err(EXIST));
    assert_eq!(guest.create_directory("no/sub"), Err(NOENT));
    let sub = guest.open("sub", DIRECTORY, READ).unwrap();
    let file = guest.open_at(sub, "file", CREATE, WRITE, 0).unwrap();
    symlink("file", directory.path().join("sub/link")).unwrap();
    fs::create_dir(directory.path().join("sub/deep")).unwrap();
    let inode = |path: &str| fs::symlink_metadata(directory.path().join(path)).unwrap().ino();

    let (used, mut entries) = guest.list(sub, 4096, 0).unwrap();
    assert_eq!(used, 24 * 5 + 1 + 2 + 4 + 4 + 4);
    assert_eq!(entries[0], (1, inode("sub"), 3, ".".into()));
    assert_eq!(entries[1], (2, inode("sub"), 3, "..".into()), "not the inode of another directory");
    assert_eq!(entries.iter().map(|entry| entry.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    entries.sort_by(|one, two| one.3.cmp(&two.3));
    let listed: Vec<_> = entries[2..].iter().map(|entry| (entry.1, entry.2, entry.3.as_str())).collect();
    let expected =
        [(inode("sub/deep"), 3, "deep"), (inode("sub/file"), 4, "file"), (inode("sub/link"), 7, "link")];
    assert_eq!(listed, expected);
    assert_eq!(guest.list(sub, 4096, 5).unwrap(), (0, vec![]));
    assert_eq!(guest.list(sub, 4096, 6).unwrap(), (0, vec![]));

    assert_eq!(guest.remove_directory("sub"), Err(NOTEMPTY));
    assert_eq!(guest.remove_directory("sub/file"), Err(NOTDIR));
    assert_eq!(guest.unlink("sub/deep"), Err(ISDIR));
    assert_eq!(guest.unlink("sub/link"), Ok(()));
    assert_eq!(guest.unlink("sub/file"), Ok(()));
    assert_eq!(guest.unlink("sub/file"), Err(NOENT));
    assert_eq!(guest.remove_directory("sub/deep"), Ok(()));
    assert_eq!(guest.remove_directory("sub"), Ok(()));
    assert_eq!(guest.write(file, b"still open"), Ok(10));
    assert_eq!(guest.create_directory("x/../.."), Err(NOENT));
    assert_eq!(guest.close(3), Ok(()));
    assert_eq!(guest.create_directory("sub"), Err(BADF));
}

#[test]
fn thousands_of_entries_are_listed_whatever_the_buffer_and_from_any_cookie() {
    let (directory, mut guest) = Guest::writable();
    let mut expected: Vec<String> = (0..3_000).map(|number| format!("entry-{number}")).collect();
    for name in &expected {
        fs::write(directory.path().join(name), "").unwrap();
    }
    expected.sort();
    for buffer in [40, 128, 4096, 20_000] {
        assert_eq!(guest.names(3, buffer), Ok(expected.clone()), "{buffer}");
    }
    let (_, all) = guest.list(3, 20_000, 0).unwrap();
    // Back, forward, and back again.
    for cookie in [7, 300, 2, 1, 0] {
        let (_, entries) = guest.list(3, 400, cookie).unwrap();
        let start = usize::try_from(cookie).unwrap();
        assert_eq!(entries, all[start..start + entries.len()], "{cookie}");
    }
    // What was cut short comes whole the next time.
    for length in [0, 1, 23, 24, 25] {
        assert_eq!(guest.list(3, length, 0).unwrap().0, u32::try_from(length).unwrap());
    }
    assert_eq!(guest.list(3, 25, 0).unwrap().1[0].3, ".");
    // What is removed while it is listed does not move the rest.
    let (mut cookie, mut removed) = (0, 0);
    loop {
        let (used, entries) = guest.list(3, 1000, cookie).unwrap();
        for (next, _, kind, name) in entries {
            cookie = next;
            if kind == 4 {
                assert_eq!(guest.unlink(&name), Ok(()));
                removed += 1;
            }
        }
        if used < 1000 {
            break;
        }
    }
    assert_eq!((removed, guest.names(3, 4096)), (3_000, Ok(vec![])));
}

#[test]
fn a_list_that_would_take_long_is_refused() {
    let (directory, mut guest) = Guest::writable();
    guest.memory.resize(1 << 20, 0);
    let most = MAX_LISTED.cast_signed();
    assert_eq!(guest.call(|call| call.fd_readdir(3, 65_536, most, 0, RESULT)), Ok(()));
    assert_eq!(guest.call(|call| call.fd_readdir(3, 65_536, most + 1, 0, RESULT)), Err(INVAL));
    assert_eq!(guest.list(3, 64, u64::MAX), Ok((0, vec![])), "there is nothing to skip");
    for number in 0..16_500 {
        fs::hard_link(directory.path().join("0"), directory.path().join(number.to_string()))
            .or_else(|_| fs::write(directory.path().join(number.to_string()), ""))
            .unwrap();
    }
    let mut guest = Guest::new(directory.path(), Access::ReadWrite);
    assert_eq!(guest.list(3, 64, u64::MAX), Err(INVAL));
    assert_eq!(guest.list(3, 64, 16_000).map(|(used, _)| used), Ok(64));
    assert_eq!(guest.names(3, 20_000).map(|names| names.len()), Ok(16_500), "in order there is no limit");
}

#[test]
fn names_that_are_no_text_are_left_out() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let (directory, mut guest) = Guest::writable();
    fs::write(directory.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
    fs::write(directory.path().join("good"), "").unwrap();
    assert_eq!(guest.names(3, 4096), Ok(vec!["good".to_owned()]));
    for (name, errno) in [(&b"\xff"[..], ILSEQ), (b"go\0od", INVAL), (b"\0", INVAL)] {
        assert_eq!(guest.open(name, 0, READ), Err(errno));
        assert_eq!(guest.create_directory(name), Err(errno));
    }
    let long = [b'x'; 256];
    assert_eq!(guest.open(long, 0, READ), Err(NAMETOOLONG));
    assert_eq!(guest.open([&b"./".repeat(2_045)[..], b"good"].concat(), 0, READ), Ok(4));
    assert_eq!(guest.open([&b"./".repeat(2_046)[..], b"good"].concat(), 0, READ), Err(NAMETOOLONG));
}

#[test]
fn files_are_renamed_linked_and_described() {
    let (directory, mut guest) = Guest::writable();
    let other = tempfile::tempdir().unwrap();
    guest.session.grant(other.path(), "/other", Access::ReadWrite).unwrap();
    fs::write(directory.path().join("file"), "text").unwrap();
    assert_eq!(guest.rename("file", (3, "moved")), Ok(()));
    assert_eq!(guest.rename("file", (3, "moved")), Err(NOENT));
    assert_eq!(guest.link("moved", (4, "linked")), Ok(()));
    assert_eq!(guest.link("moved", (4, "linked")), Err(EXIST));
    assert_eq!(guest.stat("moved", 1), Ok((4, 2, 4)));
    let (path, length) = guest.path("linked");
    assert_eq!(guest.call(|call| call.path_link(4, 1, path, length, 3, path, length)), Err(INVAL));
    assert_eq!(guest.rename("moved", (4, "moved")), Ok(()));
    assert_eq!(fs::read(other.path().join("moved")).unwrap(), b"text");

    fs::write(directory.path().join("target"), "through").unwrap();
    assert_eq!(guest.symlink("target", "link"), Ok(()));
    assert_eq!(guest.symlink("target", "link"), Err(EXIST));
    assert_eq!(guest.content("link"), Ok(b"through".to_vec()));
    assert_eq!(guest.open_nofollow("link"), Err(LOOP));
    assert_eq!(guest.read_link("link", 100), Ok(b"target".to_vec()));
    assert_eq!(guest.read_link("link", 3), Ok(b"tar".to_vec()));
    assert_eq!(guest.read_link("target", 3), Err(INVAL));
    assert_eq!((guest.stat("link", 0), guest.stat("link", 1)), (Ok((7, 1, 6)), Ok((4, 1, 7))));
    assert_eq!(guest.stat("link", 2), Err(INVAL));
    assert_eq!(guest.symlink("link2", "link1"), Ok(()));
    assert_eq!(guest.symlink("link1", "link2"), Ok(()));
    assert_eq!(guest.content("link1"), Err(LOOP));

    let metadata = fs::metadata(directory.path().join("target")).unwrap();
    guest.stat("target", 1).unwrap();
    assert_eq!((guest.u64_at(RESULT), guest.u64_at(RESULT + 8)), (metadata.dev(), metadata.ino()));
    let nanoseconds = |seconds: i64, rest: i64| (seconds * 1_000_000_000 + rest).cast_unsigned();
    assert_eq!(guest.u64_at(RESULT + 48), nanoseconds(metadata.mtime(), metadata.mtime_nsec()));
    assert_eq!(guest.u64_at(RESULT + 56), nanoseconds(metadata.ctime(), metadata.ctime_nsec()));
    let fd = guest.open("target", 0, READ).unwrap();
    guest.stat("target", 1).unwrap();
    let by_path = guest.memory[60_000..60_064].to_vec();
    guest.call(|call| call.fd_filestat_get(fd, RESULT)).unwrap();
    assert_eq!(guest.memory[60_000..60_064], by_path);
    guest.call(|call| call.fd_filestat_get(3, RESULT)).unwrap();
    assert_eq!(guest.memory[60_016], 3);
}

#[test]
fn times_are_set_by_descriptor_and_by_path_and_of_links_themselves() {
    let (directory, mut guest) = Guest::writable();
    fs::write(directory.path().join("file"), "").unwrap();
    symlink("file", directory.path().join("link")).unwrap();
    let modified =
        |path: &str| fs::symlink_metadata(directory.path().join(path)).unwrap().modified().unwrap();
    let accessed =
        |path: &str| fs::symlink_metadata(directory.path().join(path)).unwrap().accessed().unwrap();
    let second = |count: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(count);
    const SECOND: i64 = 1_000_000_000;

    assert_eq!(guest.set_times("link", 1, (SECOND, 2 * SECOND), 1 | 4), Ok(()));
    assert_eq!((accessed("file"), modified("file")), (second(1), second(2)));
    assert_eq!(guest.set_times("link", 0, (3 * SECOND, 4 * SECOND), 1 | 4), Ok(()));
    assert_eq!((accessed("file"), modified("file")), (second(1), second(2)));
    assert_eq!(modified("link"), second(4));
    let fd = guest.open("file", 0, READ).unwrap();
    guest.call(|call| call.fd_filestat_set_times(fd, 0, 5 * SECOND, 4)).unwrap();
    assert_eq!((accessed("file"), modified("file")), (second(1), second(5)));
    guest.call(|call| call.fd_filestat_set_times(3, 6 * SECOND, 7 * SECOND, 1 | 4)).unwrap();
    assert_eq!(modified(""), second(7));
    assert_eq!(guest.set_times("file", 1, (0, 0), 8), Ok(()));
    assert!(modified("file") > second(1_000_000_000));
    for flags in [3, 12, 16] {
        assert_eq!(guest.set_times("file", 1, (0, 0), flags), Err(INVAL));
        assert_eq!(guest.call(|call| call.fd_filestat_set_times(fd, 0, 0, flags)), Err(INVAL));
    }
    assert_eq!(guest.call(|call| call.fd_filestat_set_times(1, 0, 0, 1)), Err(BADF));
    assert_eq!(guest.set_times("missing", 1, (0, 0), 1), Err(NOENT));
}

#[test]
fn in_a_read_only_directory_everything_is_seen_and_nothing_changed() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("sub")).unwrap();
    fs::write(directory.path().join("sub/file"), "text").unwrap();
    symlink("sub/file", directory.path().join("link")).unwrap();
    let mut guest = Guest::new(directory.path(), Access::ReadOnly);
    let free = tempfile::tempdir().unwrap();
    guest.session.grant(free.path(), "/free", Access::ReadWrite).unwrap();
    assert_eq!(guest.content("link"), Ok(b"text".to_vec()));
    assert_eq!(guest.names(3, 100), Ok(vec!["link".to_owned(), "sub".to_owned()]));
    assert_eq!(guest.read_link("link", 100), Ok(b"sub/file".to_vec()));
    let sub = guest.open("sub", DIRECTORY, READ).unwrap();
    for (open, rights) in [(0, WRITE), (CREATE, READ), (TRUNCATE, READ), (CREATE | EXCLUSIVE, READ | WRITE)] {
        assert_eq!(guest.open("sub/file", open, rights), Err(PERM), "{open} {rights}");
        assert_eq!(guest.open_at(sub, "file", open, rights, 0), Err(PERM), "{open} {rights}");
    }
    let fd = guest.open("sub/file", 0, READ).unwrap();
    let refused = [
        guest.create_directory("new"),
        guest.remove_directory("sub"),
        guest.unlink("link"),
        guest.rename("link", (3, "other")),
        guest.rename("link", (4, "other")),
        guest.link("sub/file", (4, "stolen")),
        guest.symlink("x", "y"),
        guest.set_times("link", 1, (0, 0), 1),
        guest.set_times("link", 0, (0, 0), 1),
        guest.call(|call| call.fd_filestat_set_times(fd, 0, 0, 1)),
        guest.call(|call| call.fd_filestat_set_times(3, 0, 0, 1)),
        guest.call(|call| call.fd_filestat_set_size(fd, 0)),
    ];
    assert_eq!(refused, [Err(PERM); 12]);
    assert_eq!(guest.write(fd, b"x"), Err(BADF));
    assert_eq!(fs::read(directory.path().join("sub/file")).unwrap(), b"text");
}

#[test]
fn one_read_or_write_moves_only_so_much() {
    let (directory, mut guest) = Guest::writable();
    let most = MAX_TRANSFER.cast_signed();
    guest.memory = vec![7; 3 * usize::try_from(most).unwrap()];
    let fd = guest.open("file", CREATE, READ | WRITE).unwrap();
    // A thousand times the memory, which is less than 4 GiB.
    let count = guest.vectors(&[(65_536, most); 1000]);
    guest.call(|call| call.fd_write(fd, 0, count, RESULT)).unwrap();
    assert_eq!(guest.u32_at(RESULT), MAX_TRANSFER);
    let count = guest.vectors(&[(65_536, most - 1), (65_536, 0), (65_536, 5)]);
    guest.call(|call| call.fd_write(fd, 0, count, RESULT)).unwrap();
    assert_eq!(guest.u32_at(RESULT), MAX_TRANSFER);
    guest.call(|call| call.fd_pwrite(fd, 0, count, 0, RESULT)).unwrap();
    assert_eq!(guest.u32_at(RESULT), MAX_TRANSFER);
    assert_eq!(fs::metadata(directory.path().join("file")).unwrap().len(), 2 * u64::from(MAX_TRANSFER));
    assert_eq!(guest.seek(fd, 0, 0), Ok(0));
    guest.call(|call| call.fd_read(fd, 0, count, RESULT)).unwrap();
    assert_eq!(guest.u32_at(RESULT), MAX_TRANSFER);
    let count = guest.vectors(&[(0, -1), (0, 1)]);
    assert!(guest.try_call(|call| call.fd_read(fd, 0, count, RESULT)).is_err(), "outside of the memory");
    // Read into the list itself.
    let count = guest.vectors(&[(0, 16), (40_000, 2)]);
    guest.call(|call| call.fd_pread(fd, 0, count, 0, RESULT)).unwrap();
    assert_eq!((guest.u32_at(RESULT), guest.memory[..16].to_vec()), (18, vec![7; 16]));
}

/// Runs a test again in a process of its own, since limits of the system are those of a process.
/// Returns whether this is that process.
fn is_alone(test: &str) -> bool {
    const CHILD: &str = "ANTIPHON_WASI_LIMITED";

    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let ran = std::process::Command::new(program).args([test, "--exact"]).env(CHILD, "1").output().unwrap();
    let printed = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success() && printed.contains("1 passed"), "{}\n{printed}", ran.status);
    false
}

#[test]
fn files_that_the_machine_lacks_are_an_error_number() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    if !is_alone("directories::files_that_the_machine_lacks_are_an_error_number") {
        return;
    }
    let (_directory, mut guest) = Guest::writable();
    guest.open("file", CREATE, WRITE).unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(40), ..getrlimit(Resource::Nofile) }).unwrap();
    let opened = std::iter::from_fn(|| guest.open("file", 0, READ).ok()).count();
    assert!((10..40).contains(&opened), "{opened}");
    assert_eq!(guest.open("file", 0, READ), Err(MFILE));
    assert_eq!(guest.list(3, 100, 0), Err(MFILE));
    assert_eq!(guest.close(10), Ok(()));
    assert_eq!(guest.content("file"), Ok(vec![]), "with what it gave back");
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_number_and_no_signal() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    if !is_alone("directories::a_limit_on_the_size_of_files_is_an_error_number_and_no_signal") {
        return;
    }
    let (_directory, mut guest) = Guest::writable();
    let fd = guest.open("file", CREATE, READ | WRITE).unwrap();
    setrlimit(Resource::Fsize, Rlimit { current: Some(1000), ..getrlimit(Resource::Fsize) }).unwrap();
    assert_eq!(guest.write(fd, &[1; 900]), Ok(900));
    assert_eq!(guest.write(fd, &[2; 900]), Ok(100));
    assert_eq!(guest.write(fd, &[3; 900]), Err(FBIG));
    assert_eq!(guest.write(fd, b""), Ok(0));
    assert_eq!(guest.pwrite(fd, &[4; 10], 995), Ok(5));
    assert_eq!(guest.pwrite(fd, &[4; 10], 1_000_000), Err(FBIG));
    assert_eq!(guest.call(|call| call.fd_filestat_set_size(fd, 1001)), Err(FBIG));
    assert_eq!(guest.call(|call| call.fd_filestat_set_size(fd, 990)), Ok(()));
    let more = guest.open_at(3, "file", 0, WRITE, APPEND).unwrap();
    assert_eq!(guest.write(more, &[5; 100]), Ok(10));
    assert_eq!(guest.write(more, &[5; 100]), Err(FBIG));
}

#[test]
fn descriptors_end_at_a_number_and_are_given_again() {
    let (directory, mut guest) = Guest::writable();
    fs::write(directory.path().join("file"), "").unwrap();
    let opened: Vec<i32> = std::iter::from_fn(|| guest.open("file", 0, READ).ok()).collect();
    assert_eq!(opened.len(), MAX_DESCRIPTORS);
    assert_eq!(opened, (4..4 + i32::try_from(MAX_DESCRIPTORS).unwrap()).collect::<Vec<_>>());
    for _ in 0..10_000 {
        assert_eq!(guest.open("file", 0, READ), Err(MFILE));
    }
    assert_eq!(guest.open("new", CREATE, WRITE), Err(MFILE));
    assert!(!directory.path().join("new").exists(), "nothing is made for a descriptor that is not given");
    for fd in [77, 3, 1] {
        assert_eq!(guest.close(fd), Ok(()));
    }
    assert_eq!(guest.open_at(3, "file", 0, READ, 0), Err(BADF));
    let mut guest = Guest::new(directory.path(), Access::ReadWrite);
    assert_eq!(guest.close(1), Ok(()));
    assert_eq!(guest.open("file", 0, READ), Ok(1), "the lowest, as a shell needs it");
}

#[test]
fn streams_and_files_change_places() {
    let (directory, mut guest) = Guest::writable();
    let fd = guest.open("out", CREATE, WRITE).unwrap();
    // The file takes the place of standard output.
    guest.call(|call| call.fd_renumber(fd, 1)).unwrap();
    assert_eq!(guest.write(1, b"to the file\n"), Ok(12));
    assert_eq!((guest.write(fd, b"x"), guest.lines.len()), (Err(BADF), 0));
    // Standard error moves to a number that was a file.
    let fd = guest.open("other", CREATE, WRITE).unwrap();
    guest.call(|call| call.fd_renumber(2, fd)).unwrap();
    assert_eq!(guest.write(fd, b"to the log\n"), Ok(11));
    assert_eq!(guest.lines.len(), 1);
    assert_eq!(guest.seek(fd, 0, 0), Err(70));
    assert_eq!(guest.call(|call| call.fd_fdstat_get(fd, RESULT)), Ok(()));
    assert_eq!(guest.u64_at(RESULT + 8), 0x40);
    assert_eq!(guest.call(|call| call.sock_shutdown(fd, 0)), Err(57));
    assert_eq!(guest.call(|call| call.sock_shutdown(3, 0)), Err(57));
    assert_eq!(guest.call(|call| call.fd_renumber(2, fd)), Err(BADF));
    assert_eq!(guest.call(|call| call.fd_renumber(fd, 300)), Err(BADF));
    assert_eq!(guest.call(|call| call.fd_renumber(fd, fd)), Ok(()));
    // A preopened directory moves with its name.
    guest.call(|call| call.fd_renumber(3, 0)).unwrap();
    assert_eq!(guest.call(|call| call.fd_prestat_get(0, RESULT)), Ok(()));
    assert_eq!(guest.open_at(0, "out", 0, READ, 0), Ok(2));
    assert_eq!(fs::read(directory.path().join("out")).unwrap(), b"to the file\n");
}

#[test]
fn preview_0_has_its_own_numbers_for_whence_and_its_own_filestat() {
    let (directory, mut guest) = Guest::writable();
    fs::write(directory.path().join("file"), "12345").unwrap();
    let fd = guest.open("file", 0, READ).unwrap();
    guest.abi = Abi::Preview0;
    assert_eq!(guest.seek(fd, 2, 2), Ok(2), "from the beginning");
    assert_eq!(guest.seek(fd, 1, 0), Ok(3), "from here");
    assert_eq!(guest.seek(fd, -1, 1), Ok(4), "from the end");
    guest.call(|call| call.fd_filestat_get(fd, RESULT)).unwrap();
    assert_eq!((guest.memory[60_016], guest.u32_at(RESULT + 20), guest.u64_at(RESULT + 24)), (4, 1, 5));
}

#[test]
fn files_are_always_ready() {
    let (directory, mut guest) = Guest::writable();
    fs::write(directory.path().join("file"), "").unwrap();
    let fd = guest.open("file", 0, READ).unwrap();
    for (at, kind, fd) in [(0, 1, fd), (48, 2, fd), (96, 1, 3), (144, 1, 200)] {
        guest.memory[at..at + 48].fill(0);
        guest.memory[at + 8] = kind;
        guest.memory[at + 16..at + 20].copy_from_slice(&fd.to_le_bytes());
    }
    let polled = guest.try_call(|call| match call.begin_poll_oneoff(0, 1024, 4, RESULT)? {
        antiphon_wasi::Poll::Done(errno) => Ok(errno),
        antiphon_wasi::Poll::Wait(_) => Ok(-1),
    });
    assert_eq!((polled, guest.u32_at(RESULT)), (Ok(0), 4));
    let errors: Vec<u8> = (0..4).map(|index| guest.memory[1024 + index * 32 + 8]).collect();
    assert_eq!(errors, [0, 0, 8, 8]);
}

#[test]
fn only_regular_files_and_directories_are_opened_and_nothing_waits() {
    let (directory, mut guest) = Guest::writable();
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    for name in ["pipe", "socket"] {
        for (open, rights) in [(0, READ), (0, WRITE), (0, READ | WRITE), (CREATE, WRITE), (TRUNCATE, WRITE)] {
            assert_eq!(guest.open(name, open, rights), Err(NXIO), "{name} {open} {rights}");
        }
        assert_eq!(guest.set_times(name, 1, (0, 0), 1), Err(NXIO), "{name}");
        assert_eq!(guest.set_times(name, 0, (0, 0), 1), Ok(()), "its own times need no open");
        assert_eq!(guest.open(name, DIRECTORY, READ), Err(NXIO), "{name}");
    }
    assert_eq!((guest.stat("pipe", 1), guest.stat("socket", 1)), (Ok((0, 1, 0)), Ok((6, 1, 0))));
    let mut guest = Guest::new("/dev".as_ref(), Access::ReadWrite);
    assert_eq!((guest.open("zero", 0, READ), guest.open("null", 0, WRITE)), (Err(NXIO), Err(NXIO)));
    assert_eq!(guest.stat("null", 1).map(|(kind, ..)| kind), Ok(2));
}

#[test]
fn a_pointer_outside_of_memory_ends_the_guest_before_anything_is_done() {
    let (directory, mut guest) = Guest::writable();
    fs::write(directory.path().join("file"), "text").unwrap();
    let fd = guest.open("file", 0, READ | WRITE).unwrap();
    let (path, length) = guest.path("made");
    guest.vectors(&[(100, 4)]);
    let before = guest.memory.clone();
    let stopped = [
        guest.try_call(|call| call.path_open(3, 0, path, length, CREATE, WRITE, 0, 0, 65_533)),
        guest.try_call(|call| call.path_open(3, 0, -1, length, CREATE, WRITE, 0, 0, 0)),
        guest.try_call(|call| call.fd_write(fd, 0, 1, 65_533)),
        guest.try_call(|call| call.fd_read(fd, 0, 1, 65_533)),
        guest.try_call(|call| call.fd_read(fd, 65_530, 1, 0)),
        guest.try_call(|call| call.fd_seek(fd, 3, 0, 65_529)),
        guest.try_call(|call| call.fd_readdir(3, 65_000, 1000, 0, 0)),
        guest.try_call(|call| call.fd_readdir(3, 0, 100, 0, 65_533)),
        guest.try_call(|call| call.path_create_directory(3, -4, 8)),
        guest.try_call(|call| call.fd_prestat_get(3, 65_530)),
        guest.try_call(|call| call.fd_prestat_dir_name(3, 65_533, 5)),
        guest.try_call(|call| call.fd_filestat_get(fd, 65_500)),
        guest.try_call(|call| call.fd_fdstat_get(fd, 65_520)),
    ];
    assert!(stopped.iter().all(Result::is_err), "{stopped:?}");
    assert!(guest.memory == before && !directory.path().join("made").exists());
    assert_eq!(fs::read(directory.path().join("file")).unwrap(), b"text");
    assert_eq!(guest.seek(fd, 0, 1), Ok(0));
}
