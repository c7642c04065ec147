//! `guests/built/manifest.toml`: which modules are checked in, and what built them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Versions;

/// The manifest's file name.
const FILE: &str = "manifest.toml";
/// The comment at the top of the manifest.
const HEADER: &str = "# Written by `cargo xtask guests`; not meant to be edited.\n\n";

/// All checked-in modules, sorted by file name.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Each is written as a `[[module]]`.
    #[serde(default, rename = "module")]
    modules: Vec<Module>,
}

/// One built module.
#[derive(Serialize, Deserialize)]
pub(crate) struct Module {
    /// The file's name in `guests/built`.
    pub(crate) file: String,
    /// Its digest and size.
    #[serde(flatten)]
    pub(crate) fingerprint: Fingerprint,
    /// The folder of its source, relative to the root of the repository.
    pub(crate) source: String,
    /// The target that it was compiled for.
    pub(crate) target: String,
    /// The tools that built it.
    pub(crate) toolchain: Versions,
}

/// The digest and size of a file, to compare it by.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    /// The SHA-256 digest, in hexadecimal.
    pub(crate) sha256: String,
    /// The size in bytes.
    pub(crate) size: usize,
}

impl Fingerprint {
    /// Computes the fingerprint of the file at `path`.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("{} was not read", path.display()))?;
        let digest = Sha256::digest(&bytes);
        Ok(Self { sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(), size: bytes.len() })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256 {}, {} bytes", self.sha256, self.size)
    }
}

impl Manifest {
    /// Reads the manifest in the folder `built`.
    pub(crate) fn read(built: &Path) -> Result<Self> {
        let path = built.join(FILE);
        let text = fs::read_to_string(&path).with_context(|| format!("{} was not read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a manifest", path.display()))
    }

    /// Reads the manifest like [`Manifest::read`], and returns an empty one if there is none yet.
    pub(crate) fn read_or_default(built: &Path) -> Result<Self> {
        if built.join(FILE).exists() { Self::read(built) } else { Ok(Self::default()) }
    }

    /// Writes the manifest to the folder `built`.
    pub(crate) fn write(&self, built: &Path) -> Result<()> {
        let path = built.join(FILE);
        let text = toml::to_string(self)?;
        fs::write(&path, format!("{HEADER}{text}"))
            .with_context(|| format!("{} was not written", path.display()))
    }

    /// Returns the module in the file named `file`.
    pub(crate) fn get(&self, file: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.file == file)
    }

    /// Returns the names of all files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.modules.iter().map(|module| module.file.as_str())
    }

    /// Inserts `module`, and replaces one with the same file name.
    pub(crate) fn put(&mut self, module: Module) {
        self.modules.retain(|other| other.file != module.file);
        self.modules.push(module);
        self.modules.sort_by(|a, b| a.file.cmp(&b.file));
    }

    /// Returns the tools whose versions differ between the manifest and `module`, one per line.
    pub(crate) fn toolchain_changes(&self, module: &Module) -> Vec<String> {
        let Some(before) = self.get(&module.file) else { return Vec::new() };
        let changed = |(tool, now): (&String, &String)| {
            let then = before.toolchain.get(tool).map_or("none", String::as_str);
            (then != now).then(|| format!("{tool} was {then}, is {now}"))
        };
        module.toolchain.iter().filter_map(changed).collect()
    }
}

/// Returns the fingerprints of the modules in the folder `built`, by file name.
pub(crate) fn modules_in(built: &Path) -> Result<BTreeMap<String, Fingerprint>> {
    let mut modules = BTreeMap::new();
    for entry in fs::read_dir(built)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm")
            && let Some(name) = path.file_name()
        {
            modules.insert(name.to_string_lossy().into_owned(), Fingerprint::of(&path)?);
        }
    }
    Ok(modules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_changes_of_the_toolchain_are_told() {
        let built = tempfile::tempdir().unwrap();
        let path = built.path().join("empty.wasm");
        fs::write(&path, "").unwrap();
        let fingerprint = Fingerprint::of(&path).unwrap();
        // The digest of an empty file.
        assert!(fingerprint.sha256.starts_with("e3b0c44298fc1c149afbf4c8996fb924"));

        let module = |rustc: &str| Module {
            file: "empty.wasm".to_owned(),
            fingerprint: Fingerprint::of(&path).unwrap(),
            source: "guests/empty".to_owned(),
            target: "wasm32".to_owned(),
            toolchain: Versions::from([("rustc".to_owned(), rustc.to_owned())]),
        };
        let mut manifest = Manifest::read_or_default(built.path()).unwrap();
        manifest.put(module("1"));
        manifest.put(module("2"));
        manifest.write(built.path()).unwrap();

        let manifest = Manifest::read(built.path()).unwrap();
        assert_eq!(manifest.files().collect::<Vec<_>>(), ["empty.wasm"]);
        assert!(manifest.get("empty.wasm").unwrap().fingerprint == fingerprint);
        assert_eq!(manifest.toolchain_changes(&module("3")), ["rustc was 2, is 3"]);
        assert!(manifest.toolchain_changes(&module("2")).is_empty());
        assert!(modules_in(built.path()).unwrap().contains_key("empty.wasm"));
    }
}
