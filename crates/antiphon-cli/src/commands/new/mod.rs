//! `antiphon new`.

mod templates;

use std::fs;
use std::io;
use std::path::Path;

use crate::args::{NewArgs, NewCommand, NewGuestArgs};
use crate::failure::Failure;
use crate::terminal::{self, escape_line};

pub(crate) fn run(args: &NewArgs) -> Result<(), Failure> {
    match &args.command {
        NewCommand::Guest(args) => guest(args),
    }
}

/// Writes a project into a new directory.
fn guest(args: &NewGuestArgs) -> Result<(), Failure> {
    let path = &args.path;
    let failure = |error| Failure::Usage(format!("cannot make a project in {}", path.display()), error);
    let nameless = || failure(io::Error::new(io::ErrorKind::InvalidInput, "the path ends in no name"));
    let name = path.file_name().ok_or_else(nameless)?.to_string_lossy();
    let template = args.lang.template();
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failure)?;
    }
    // Fails if the directory exists, so that no existing file is overwritten.
    fs::create_dir(path).map_err(failure)?;
    let readme = template.readme(&name);
    let more = [("README.md", readme.as_str()), (".gitignore", template.ignored)];
    for (file, content) in template.files.iter().copied().chain(more) {
        write(&path.join(file), content).map_err(failure)?;
    }
    let name = escape_line(&path.to_string_lossy());
    terminal::write(
        format!("made {name}; in it, `{}` builds and `{}` tests\n", template.build, template.test).as_bytes(),
    )
}

fn write(path: &Path, content: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)
}
