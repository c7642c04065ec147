//! The conformance suite on the resumable provider, without the straight mode.

use std::path::Path;
use std::process::ExitCode;

use antiphon_conformance::{Mode, Setup, guests_dir, run};

fn main() -> ExitCode {
    // This provider yields after each slice in any case, so a straight guest would run no
    // differently.
    let setup = Setup::new("resumable").without(Mode::Straight);
    let setup = setup.guests(guests_dir(Path::new(env!("CARGO_MANIFEST_DIR"))));
    run(setup, |module| toy_provider::resumable::factory(module.bytes(), module.limits()))
}
