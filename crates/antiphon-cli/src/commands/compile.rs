//! `antiphon compile`.

use std::error::Error;
use std::io;
use std::path::Path;

use crate::args::CompileArgs;
use crate::failure::Failure;
use crate::run::{self, Module};
use crate::terminal::with_spinner;

pub(crate) fn run(args: &CompileArgs) -> Result<(), Failure> {
    run::ensure_available(args.engine)?;
    let limits = args.limits();
    let mut builder = antiphon_host::Module::builder().engine(args.engine).limits(limits);
    builder = run::with_keys(builder, args.engine, args.cache_dir.clone())?;
    let Module::Bytes(module) = run::read_module(&args.module, &limits)? else {
        return Err(run::already_compiled(&args.module));
    };
    let output = &args.output;
    if let (Ok(from), Ok(to)) = (args.module.canonicalize(), output.canonicalize())
        && from == to
    {
        let error = io::Error::new(io::ErrorKind::AlreadyExists, "it is the module itself");
        return Err(Failure::Usage(unwritten(output), error));
    }
    if args.deterministic {
        // The code contains neither the seed nor the clock: each call brings its own.
        builder = builder.deterministic(0, std::time::Duration::ZERO);
    }
    let written = with_spinner("compiling the module", || builder.write_artifact(&module, output));
    written.map_err(|error| match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        // An error of the system concerns a file that was named on the command line: wrong usage.
        // The library says which of the two it could not write.
        Some(source) if source.to_string().starts_with("cannot write the artifact") => {
            Failure::Usage(unwritten(output), io::Error::new(source.kind(), innermost(source)))
        }
        Some(source) => {
            let what = match &args.cache_dir {
                Some(directory) => format!("cannot use the directory {} for the key", directory.display()),
                None => {
                    "cannot use the user's cache directory for the key; give another one with --cache-dir"
                        .into()
                }
            };
            Failure::Usage(what, io::Error::new(source.kind(), chain(source)))
        }
        None => error.into(),
    })
}

/// Returns the texts of an error and its sources in one line.
fn chain(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

fn unwritten(output: &Path) -> String {
    format!("cannot write {}", output.display())
}

/// Returns the system's own message, without the paths that outer errors add to it.
fn innermost(error: &io::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
