//! The conformance suite on the resumable provider, but for one of its modes.

use std::path::Path;
use std::process::ExitCode;

use antiphon_conformance::{Mode, Setup, guests_dir, run};

fn main() -> ExitCode {
    // It gives way after each slice, asked or not: its straight guests run as the others do.
    let setup = Setup::new("resumable").without(Mode::Straight);
    let setup = setup.guests(guests_dir(Path::new(env!("CARGO_MANIFEST_DIR"))));
    run(setup, |module| toy_provider::resumable::factory(module.bytes(), module.limits()))
}
