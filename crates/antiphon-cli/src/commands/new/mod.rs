//! `antiphon new`.

mod templates;

use std::fs;
use std::io;
use std::path::Path;

use templates::Name;

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
    let name = Name::new(&name);
    let readme = template.readme(&name);
    let files = template.files.iter().map(|(file, content)| (*file, template.named(file, content, &name)));
    let more = [("README.md", readme), (".gitignore", template.ignored.to_owned())];
    for (file, content) in files.chain(more) {
        write(&path.join(file), &content).map_err(failure)?;
    }
    let (made, test) = (escape_line(&path.to_string_lossy()), template.test(&name));
    terminal::write(
        format!("made {made}; in it, `{}` builds and `{test}` tests\n", template.build).as_bytes(),
    )
}

fn write(path: &Path, content: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)
}
