//! `antiphon compile`.

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
    let mut options = antiphon_engines::EngineOptions::new().limits(limits);
    if args.deterministic {
        // Neither the seed nor the clock is in the code: a call brings its own.
        options = options.deterministic(0, std::time::Duration::ZERO);
    }
    let written =
        spinner::during("compiling the module", || store.write_artifact(&module, &args.output, &options));
    Ok(written?)
}
