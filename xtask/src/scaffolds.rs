//! `cargo xtask scaffolds`: what `antiphon new guest` writes builds and passes its own test, by the commands of its README.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::guests::Guest;
use crate::process::{output, run};

/// A command of a project takes so many seconds at most. Rust's may build a standard library.
const TIME: &str = "300";

/// Generates, builds and tests a project of each language whose toolchain is here; says which are left out, and why.
pub(crate) fn scaffolds(root: &Path) -> Result<()> {
    let bin = program(root)?;
    let scratch = tempfile::tempdir()?;
    let mut done = 0;
    for (lang, guest) in Guest::languages() {
        let environment = match guest.environment() {
            Ok(environment) => environment,
            Err(missing) => {
                println!("{lang}: left out: {missing:#}");
                continue;
            }
        };
        let rest = std::env::var("PATH").unwrap_or_default();
        let path = [bin.to_str(), environment.programs, Some(&*rest)];
        let path = path.into_iter().flatten().collect::<Vec<_>>().join(":");
        let project = scratch.path().join(&lang);
        run(Command::new(bin.join("antiphon")).args(["new", "guest"]).arg(&project).args(["--lang", &lang]))?;
        if lang == "rust" {
            use_this_sdk(root, &project)?;
        }
        for command in commands(&project)? {
            println!("{lang}: {command}");
            run(Command::new("timeout")
                .args([TIME, "sh", "-ec", &command])
                .current_dir(&project)
                .env("PATH", &path)
                // Set by the cargo that runs xtask; another rustc must not load its libraries.
                .env_remove("LD_LIBRARY_PATH")
                // The step's own, which a project does not share.
                .env_remove("CARGO_TARGET_DIR")
                .envs(environment.variables.iter().copied()))
            .with_context(|| format!("the scaffold for {lang} does not do what its README says"))?;
        }
        done += 1;
    }
    ensure!(done > 0, "no toolchain is here: nothing was checked");
    println!("{done} scaffolds built and tested");
    Ok(())
}

/// The folder with the program, built.
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

/// The SDK is that of this checkout, which no registry has yet.
fn use_this_sdk(root: &Path, project: &Path) -> Result<()> {
    let manifest = project.join("Cargo.toml");
    let sdk = root.join("crates/antiphon-guest");
    let patch =
        format!("\n[patch.crates-io]\nantiphon-guest = {{ path = {:?} }}\n", sdk.display().to_string());
    Ok(fs::write(&manifest, fs::read_to_string(&manifest)? + &patch)?)
}

/// The commands of a project's README: one that builds, one that tests.
fn commands(project: &Path) -> Result<Vec<String>> {
    let readme = fs::read_to_string(project.join("README.md"))?;
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let commands: Vec<_> = blocks.map(str::to_owned).collect();
    if commands.len() == 2 { Ok(commands) } else { bail!("the README has {} commands", commands.len()) }
}
