//! `antiphon compile`.

use std::error::Error;
use std::io;
use std::path::Path;

use crate::cli::CompileArgs;
use crate::code::{self, Module};
use crate::failure::Failure;
use crate::{engine, input, spinner};

pub(crate) fn run(args: &CompileArgs) -> Result<(), Failure> {
    engine::ensure_available(args.engine)?;
    let store = code::keys(args.engine, args.cache_dir.clone())?;
    let limits = args.limits();
    let Module::Bytes(module) = input::module(&args.module, &limits)? else {
        return Err(code::already_compiled(&args.module));
    };
    let output = &args.output;
    if let (Ok(from), Ok(to)) = (args.module.canonicalize(), output.canonicalize())
        && from == to
    {
        let error = io::Error::new(io::ErrorKind::AlreadyExists, "it is the module itself");
        return Err(Failure::Usage(unwritten(output), error));
    }
    let mut options = antiphon_engines::EngineOptions::new().limits(limits);
    if args.deterministic {
        // The code contains neither the seed nor the clock: each call brings its own.
        options = options.deterministic(0, std::time::Duration::ZERO);
    }
    let written = spinner::during("compiling the module", || store.write_artifact(&module, output, &options));
    written.map_err(|error| match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        // An error of the system concerns the output file, which was named on the command line:
        // wrong usage.
        Some(source) => Failure::Usage(unwritten(output), io::Error::new(source.kind(), innermost(source))),
        None => error.into(),
    })
}

fn unwritten(output: &Path) -> String {
    format!("cannot write {}", output.display())
}

/// The system's own message, without the paths that outer errors add to it.
fn innermost(error: &io::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
