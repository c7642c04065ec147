//! Builds the AssemblyScript guest with npm and asc.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Versions;
use crate::process::{output, run};

/// The only target of asc.
pub(crate) const TARGET: &str = "wasm32";

/// The modules, each with the arguments of asc. Two are of one source, and are targets in
/// `asconfig.json`.
pub(crate) const MODULES: [(&str, &[&str]); 4] = [
    ("assemblyscript.wasm", &["--target", "sdk-abort"]),
    ("assemblyscript-env-abort.wasm", &["--target", "env-abort"]),
    (
        "assemblyscript-keyvalue.wasm",
        &["assembly/keyvalue.ts", "--config", "none", "--optimize", "--use", "abort=assembly/keyvalue/abort"],
    ),
    (
        "assemblyscript-types.wasm",
        &["assembly/types.ts", "--config", "none", "--optimize", "--use", "abort=assembly/types/abort"],
    ),
];

/// The advice if Node.js is missing.
const ADVICE: &str = "the AssemblyScript guest needs Node.js 20 or newer, with its npm";

/// Checks that Node.js and npm are installed.
pub(crate) fn find() -> Result<()> {
    for program in ["node", "npm"] {
        output(Command::new(program).arg("--version")).context(ADVICE)?;
    }
    Ok(())
}

/// Builds the package in `source` into `out`.
pub(crate) fn build(source: &Path, out: &Path) -> Result<Versions> {
    // No package here needs an install script, so none may run.
    run(at("npm", source).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])).context(ADVICE)?;
    for (file, arguments) in MODULES {
        run(asc(source).args(arguments).arg("--outFile").arg(out.join(file)))?;
    }
    let asc = output(asc(source).arg("--version"))?;
    let sdk = "require('@wapc/as-guest/package.json').version";
    Ok(Versions::from([
        ("node".to_owned(), output(at("node", source).arg("--version"))?),
        ("asc".to_owned(), asc.trim_start_matches("Version ").to_owned()),
        ("as-guest".to_owned(), output(at("node", source).args(["--print", sdk]))?),
    ]))
}

/// Returns the asc of the package's lock file; `--no` keeps npx from fetching another.
fn asc(source: &Path) -> Command {
    let mut command = at("npx", source);
    command.args(["--no", "--", "asc"]);
    command
}

/// Returns a command that runs in the folder `source`.
fn at(program: &str, source: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(source);
    command
}
