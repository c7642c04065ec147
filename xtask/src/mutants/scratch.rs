//! A copy of the tree to put faults into. It has its own target directory, so that artefacts of a
//! mutant are never taken for those of the real code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The copy, in the repository's target directory. It is kept between runs, so that each run builds
/// only what changed.
pub(super) struct Scratch {
    tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    /// Creates the copy, or updates an existing one, including what an interrupted run left in it.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let all = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let folder = all.join("mutants");
        let scratch = Self { tree: folder.join("tree"), target: folder.join("target") };
        if !scratch.target.exists() && all.join("debug").exists() {
            // Saves building the engines again. Cargo rebuilds what differs in the copy.
            println!("copying what is built already");
            copy_dir(&all.join("debug"), &scratch.target.join("debug"))?;
        }
        let files: BTreeSet<String> = files(root)?.into_iter().collect();
        for stale in files_below(&scratch.tree)?.difference(&files) {
            fs::remove_file(scratch.tree.join(stale)).with_context(|| stale.clone())?;
        }
        for file in &files {
            let bytes = fs::read(root.join(file)).with_context(|| file.clone())?;
            scratch.write(file, &bytes)?;
        }
        Ok(scratch)
    }

    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }

    /// Returns a command that runs in the copy.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_INCREMENTAL", "1")
            // Shorter than the default of two minutes, which would only delay the notice of a
            // hanging case.
            .env("ANTIPHON_CONFORMANCE_PATIENCE_S", "30")
            // Warnings in a mutant are not errors.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_MANIFEST_DIR");
        command
    }

    /// Returns the file for the output of a trial's commands.
    pub(super) fn output(&self) -> PathBuf {
        self.target.join("output.txt")
    }

    /// Changes files until the returned value is dropped.
    pub(super) fn mutate(&self, changed: &BTreeMap<String, String>) -> Result<Mutated<'_>> {
        let mut mutated = Mutated { scratch: self, originals: BTreeMap::new() };
        for (file, text) in changed {
            let original = fs::read(self.tree.join(file)).with_context(|| file.clone())?;
            mutated.originals.insert(file.clone(), original);
            self.write(file, text.as_bytes())?;
        }
        Ok(mutated)
    }

    /// Writes a file only if its content differs, because cargo compares modification times.
    fn write(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let path = self.tree.join(file);
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, bytes).with_context(|| path.display().to_string())
    }
}

/// A mutant in the copy; dropping it restores the files.
pub(super) struct Mutated<'a> {
    scratch: &'a Scratch,
    originals: BTreeMap<String, Vec<u8>>,
}

impl Drop for Mutated<'_> {
    fn drop(&mut self) {
        for (file, original) in &self.originals {
            if let Err(error) = self.scratch.write(file, original) {
                eprintln!("the copy of {file} stays mutated until the next run: {error:#}");
            }
        }
    }
}

/// Returns the files of the tree, including uncommitted ones, relative to its root.
pub(super) fn files(root: &Path) -> Result<Vec<String>> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let listed = process::output(Command::new("git").args(list).current_dir(root))?;
    Ok(listed.lines().filter(|file| root.join(file).is_file()).map(str::to_owned).collect())
}

fn files_below(folder: &Path) -> Result<BTreeSet<String>> {
    let (mut files, mut folders) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop().filter(|next| next.exists()) {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(file) = path.strip_prefix(folder)?.to_str() {
                files.insert(file.replace('\\', "/"));
            }
        }
    }
    Ok(files)
}

/// Copies a folder and keeps modification times, by which cargo decides what is fresh.
fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_name() == "incremental" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            let modified = entry.metadata()?.modified()?;
            fs::File::options().append(true).open(&target)?.set_modified(modified)?;
        }
    }
    Ok(())
}
