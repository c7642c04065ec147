//! `cargo xtask scaffolds`: checks that each project of `antiphon new guest` builds and passes its
//! test by the commands of its README, as it is made and with all that its page of operations shows,
//! and that following the Rust guide yields a guest that runs.

mod guide;
mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::guests::{Environment, Guest};
use crate::process::{output, run};

/// The time limit for a project's command, in seconds. A Rust project may have to build a standard
/// library.
const TIME: &str = "300";

/// Generates, builds and tests a project in each language whose toolchain is installed. Reports
/// which languages are skipped, and why.
pub(crate) fn scaffolds(root: &Path) -> Result<()> {
    let bin = program(root)?;
    let scratch = tempfile::tempdir()?;
    use_these_crates(root, scratch.path())?;
    let mut done = 0;
    for (lang, guest) in Guest::languages() {
        let environment = match guest.environment() {
            Ok(environment) => environment,
            Err(missing) => {
                println!("{lang}: skipped: {missing:#}");
                continue;
            }
        };
        let project = scratch.path().join(&lang);
        run(Command::new(bin.join("antiphon")).args(["new", "guest"]).arg(&project).args(["--lang", &lang]))?;
        let shell = Shell { bin: &bin, environment: Some(&environment), folder: &project };
        let obey = |whose: &str| -> Result<()> {
            for command in commands(&project)? {
                println!("{lang}, {whose}: {command}");
                run(&mut shell.command(&command)?)
                    .with_context(|| format!("the scaffold for {lang} does not do what its README says"))?;
            }
            Ok(())
        };
        obey("as it is made")?;
        page::take_all(&project).with_context(|| format!("the page of the scaffold for {lang}"))?;
        obey("with all operations of its page")?;
        if matches!(guest, Guest::Rust) {
            guide::follow(root, &bin, &environment, scratch.path())?;
        }
        done += 1;
    }
    ensure!(done > 0, "no toolchain is here: nothing was checked");
    println!("{done} scaffolds built and tested");
    Ok(())
}

/// A shell as a user has it.
struct Shell<'a> {
    /// The folder of the `antiphon` program.
    bin: &'a Path,
    /// Settings for a toolchain that is not on the path.
    environment: Option<&'a Environment>,
    folder: &'a Path,
}

impl Shell<'_> {
    /// Returns a command that runs a script within the time limit.
    fn command(&self, script: &str) -> Result<Command> {
        let mut command = Command::new("timeout");
        let first = self.environment.and_then(|environment| environment.programs.as_deref());
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let path = [Some(self.bin), first].into_iter().flatten().map(Path::to_owned);
        command
            .args([TIME, "sh", "-ec", script])
            .current_dir(self.folder)
            .env("PATH", std::env::join_paths(path.chain(std::env::split_paths(&rest)))?)
            // The cargo that runs xtask sets this, and another rustc must not load its libraries.
            .env_remove("LD_LIBRARY_PATH")
            // CI sets this; a user's project does not share it.
            .env_remove("CARGO_TARGET_DIR");
        if let Some(environment) = self.environment {
            command.envs(environment.variables.iter().copied());
        }
        Ok(command)
    }
}

/// Builds the `antiphon` program and returns its folder.
fn program(root: &Path) -> Result<PathBuf> {
    run(Command::new("cargo").current_dir(root).args(["build", "--quiet", "--locked", "--bin", "antiphon"]))?;
    let metadata = ["metadata", "--format-version", "1", "--no-deps", "--locked"];
    let metadata = output(Command::new("cargo").current_dir(root).args(metadata))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let target = metadata
        .get("target_directory")
        .and_then(serde_json::Value::as_str)
        .context("cargo names no target directory")?;
    Ok(Path::new(target).join("debug"))
}

/// Makes all projects in this folder use the crates of this checkout, which may not be published
/// yet.
fn use_these_crates(root: &Path, folder: &Path) -> Result<()> {
    // A shared build directory. For a toolchain without a prebuilt standard library, the library is
    // then built only once.
    let build = folder.join("build").display().to_string();
    let mut config = format!("[build]\nbuild-dir = {build:?}\n\n[patch.crates-io]\n");
    for name in ["antiphon-guest", "antiphon-guest-macros", "antiphon-codec"] {
        let path = root.join("crates").join(name).display().to_string();
        config.push_str(&format!("{name} = {{ path = {path:?} }}\n"));
    }
    fs::create_dir(folder.join(".cargo"))?;
    Ok(fs::write(folder.join(".cargo/config.toml"), config)?)
}

/// Returns the two commands in a project's README: one builds, one tests.
fn commands(project: &Path) -> Result<Vec<String>> {
    let readme = fs::read_to_string(project.join("README.md"))?;
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let commands: Vec<_> = blocks.map(str::to_owned).collect();
    if commands.len() == 2 { Ok(commands) } else { bail!("the README has {} commands", commands.len()) }
}
