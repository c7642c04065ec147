//! A program that works on files as any other does, with nothing but the standard library. It
//! prints what it finds, never a number that differs from one machine to the next, so that its
//! output is the same wherever it runs:
//!
//!     rustc --edition 2024 -o files main.rs && mkdir empty && ./files empty

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, IoSlice, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What makes it a waPC guest: it runs when it is started, and answers calls with an error.
#[cfg(target_family = "wasm")]
mod guest {
    #[unsafe(export_name = "wapc_init")]
    extern "C" fn start() {
        super::main().expect("files");
    }

    #[unsafe(export_name = "__guest_call")]
    extern "C" fn call(_operation: u32, _payload: u32) -> u32 {
        0
    }
}

/// Prints a result: a value, or the kind of the error, which is the same on every system.
fn show<T: std::fmt::Debug>(what: &str, result: io::Result<T>) {
    /// WASI's number of an error whose kind the standard library does not know there.
    const NOT_EMPTY: Option<i32> = Some(55);

    match result {
        Ok(value) => println!("{what}: {value:?}"),
        Err(error) if cfg!(target_os = "wasi") && error.raw_os_error() == NOT_EMPTY => {
            println!("{what}: DirectoryNotEmpty");
        }
        Err(error) => println!("{what}: {:?}", error.kind()),
    }
}

/// Prints only whether it went well, or the kind of the error.
fn done<T>(what: &str, result: io::Result<T>) {
    show(what, result.map(drop));
}

fn main() -> io::Result<()> {
    let root = PathBuf::from(std::env::args().nth(1).expect("a directory"));
    data(&root)?;
    lines(&root)?;
    entries(&root)?;
    moves(&root)?;
    links(&root)?;
    times(&root)?;
    trees(&root)
}

fn data(root: &Path) -> io::Result<()> {
    let path = root.join("file");
    let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
    done("create again", File::create_new(&path));
    show("write", file.write(b"hello, world"));
    show("where", file.stream_position());
    show("back", file.seek(SeekFrom::End(-5)));
    let mut buffer = [0; 3];
    show("read", file.read_exact(&mut buffer).map(|()| buffer));
    show("before the beginning", file.seek(SeekFrom::Current(-100)));
    show("vectored", file.write_vectored(&[IoSlice::new(b"a"), IoSlice::new(b""), IoSlice::new(b"b")]));
    show("to a string", fs::read_to_string(&path));
    show("truncate", file.set_len(4));
    show("grow", file.set_len(10));
    show("bytes", fs::read(&path));
    show("far away", file.seek(SeekFrom::Start(3_000_000)));
    show("write there", file.write_all(b"!"));
    show("length", file.metadata().map(|metadata| metadata.len()));
    show("sync", file.sync_all());
    show("sync of data", file.sync_data());
    drop(file);

    let mut log = OpenOptions::new().append(true).create(true).open(root.join("log"))?;
    show("append", log.write_all(b"one"));
    show("back", log.rewind());
    show("append", log.write_all(b"two"));
    show("read of what is written", log.read(&mut buffer).map_err(|_| io::ErrorKind::Other.into()));
    show("log", fs::read_to_string(root.join("log")));
    let mut reader = File::open(root.join("log"))?;
    show("write to what is read", reader.write(b"x").map_err(|_| io::ErrorKind::Other.into()));
    show("rest", {
        let mut rest = String::new();
        reader.read_to_string(&mut rest).map(|_| rest)
    });
    done("truncated", File::create(root.join("log")));
    show("log", fs::read_to_string(root.join("log")));
    done("not there", File::open(root.join("missing")));
    done("no directory", File::open(root.join("log/file")));
    done("a directory for writing", OpenOptions::new().write(true).open(root));
    done("nothing to do", OpenOptions::new().open(&path));
    show("copy", fs::copy(&path, root.join("copy")));
    show("equal", fs::read(&path).and_then(|one| Ok(one == fs::read(root.join("copy"))?)));
    // More than one call moves.
    let large: Vec<u8> = (0..9_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    show("large", fs::write(root.join("large"), &large));
    show("equal", fs::read(root.join("large")).map(|read| read == large));
    for name in ["file", "log", "copy", "large"] {
        fs::remove_file(root.join(name))?;
    }
    show("exists", fs::exists(&path));
    Ok(())
}

fn lines(root: &Path) -> io::Result<()> {
    let path = root.join("lines");
    let mut file = BufWriter::new(File::create(&path)?);
    for number in 0..20_000 {
        writeln!(file, "line {number}")?;
    }
    drop(file);
    let lines = BufReader::new(File::open(&path)?).lines().collect::<io::Result<Vec<_>>>()?;
    println!("{} lines, the last {:?}", lines.len(), lines.last());
    show("remove", fs::remove_file(&path));
    done("remove again", fs::remove_file(&path));
    Ok(())
}

fn entries(root: &Path) -> io::Result<()> {
    const COUNT: usize = 4_000;
    let many = root.join("many");
    fs::create_dir(&many)?;
    done("create again", fs::create_dir(&many));
    for number in 0..COUNT {
        // Of many lengths, so that buffers end everywhere.
        File::create(many.join(format!("{number:0width$}", width = 4 + number % 60)))?;
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&many)? {
        let entry = entry?;
        assert!(entry.file_type()?.is_file() && entry.metadata()?.len() == 0);
        names.push(entry.file_name().into_string().expect("text"));
    }
    names.sort();
    let bytes: usize = names.iter().map(String::len).sum();
    println!("{} entries of {bytes} bytes, first {:?}, last {:?}", names.len(), names.first(), names.last());
    done("remove of many", fs::remove_dir(&many));
    let mut removed = 0;
    for entry in fs::read_dir(&many)? {
        fs::remove_file(entry?.path())?;
        removed += 1;
    }
    println!("removed {removed}");
    show("left", fs::read_dir(&many).map(Iterator::count));
    done("remove of none", fs::remove_dir(&many));
    done("list of nothing", fs::read_dir(&many));
    Ok(())
}

fn moves(root: &Path) -> io::Result<()> {
    let (from, to) = (root.join("from"), root.join("to"));
    fs::create_dir(&from)?;
    fs::create_dir(&to)?;
    fs::write(from.join("file"), "text")?;
    show("rename", fs::rename(from.join("file"), to.join("file")));
    done("rename of nothing", fs::rename(from.join("file"), to.join("file")));
    fs::write(to.join("other"), "other")?;
    show("rename over", fs::rename(to.join("other"), to.join("file")));
    show("which is", fs::read_to_string(to.join("file")));
    done("rename over a directory", fs::rename(to.join("file"), &from));
    done("rename over a file", fs::rename(&from, to.join("file")));
    done("rename over a full one", fs::rename(&from, &to));
    done("rename into itself", fs::rename(&to, to.join("deeper")));
    done("remove of a full one", fs::remove_dir(&to));
    done("remove of a file as a directory", fs::remove_dir(to.join("file")));
    let mut open = File::open(to.join("file"))?;
    fs::remove_file(to.join("file"))?;
    let mut text = String::new();
    show("read of what is removed", open.read_to_string(&mut text));
    fs::remove_dir(&from)?;
    fs::remove_dir(&to)
}

#[expect(deprecated, reason = "the only name that every system has")]
fn links(root: &Path) -> io::Result<()> {
    use std::fs::soft_link as symlink;

    let path = |name: &str| root.join(name);
    fs::write(path("file"), "content")?;
    show("hard", fs::hard_link(path("file"), path("hard")));
    done("hard again", fs::hard_link(path("file"), path("hard")));
    fs::write(path("hard"), "changed")?;
    show("file", fs::read_to_string(path("file")));
    show("soft", symlink("file", path("soft")));
    done("soft again", symlink("file", path("soft")));
    show("target", fs::read_link(path("soft")));
    done("target of a file", fs::read_link(path("file")));
    show("is a link", fs::symlink_metadata(path("soft")).map(|metadata| metadata.file_type().is_symlink()));
    show("is a file", fs::metadata(path("soft")).map(|metadata| metadata.is_file()));
    show("through it", fs::read_to_string(path("soft")));
    symlink("nowhere", path("dangling"))?;
    done("dangling", File::open(path("dangling")));
    show("exists", fs::exists(path("dangling")));
    symlink("two", path("one"))?;
    symlink("one", path("two"))?;
    println!("in circles: {}", File::open(path("one")).is_err());
    for name in ["file", "hard", "soft", "dangling", "one", "two"] {
        fs::remove_file(path(name))?;
    }
    Ok(())
}

fn times(root: &Path) -> io::Result<()> {
    let path = root.join("timed");
    let file = File::create(&path)?;
    let accessed = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    let modified = SystemTime::UNIX_EPOCH + Duration::new(1_500_000_000, 987_654_321);
    show("set", file.set_times(FileTimes::new().set_accessed(accessed).set_modified(modified)));
    let metadata = fs::metadata(&path)?;
    println!("{} {}", metadata.accessed()? == accessed, metadata.modified()? == modified);
    show("set one", file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(5)));
    let metadata = file.metadata()?;
    let since = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    println!("{} {:?}", metadata.accessed()? == accessed, since);
    drop(file);
    fs::write(&path, "now")?;
    println!("{}", fs::metadata(&path)?.modified()? > modified);
    fs::remove_file(&path)
}

fn trees(root: &Path) -> io::Result<()> {
    let tree = root.join("a/b/c/d");
    show("make", fs::create_dir_all(&tree));
    show("make again", fs::create_dir_all(&tree));
    fs::write(tree.join("deep"), "deep")?;
    show("dots", fs::read_to_string(tree.join("../../../b/./c/../c/d/deep")));
    show("remove", fs::remove_dir_all(root.join("a")));
    show("left", fs::read_dir(root).map(Iterator::count));
    Ok(())
}
