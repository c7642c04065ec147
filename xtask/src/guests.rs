//! `cargo xtask guests`: builds and checks the modules of the guests in every language.
//!
//! The modules are checked in, so that tests need no guest toolchain. A manifest beside them
//! records the sources and tools that each was built with.

mod assemblyscript;
mod make;
mod manifest;
mod rust;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use manifest::{Fingerprint, Manifest, Module};

/// The options of `guests`; with none, the guests are built and written.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rebuild in a temporary folder and compare with the manifest; write nothing
    #[arg(long, conflicts_with = "verify")]
    check: bool,
    /// Compare the checked-in modules with the manifest; build nothing
    #[arg(long)]
    verify: bool,
    /// Skip, with a message, guests whose toolchain is missing or differs from the manifest's
    #[arg(long, requires = "check")]
    installed: bool,
    /// Only the guest in this language
    #[arg(long, value_name = "LANGUAGE")]
    only: Option<Guest>,
}

/// The guests, by their languages.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Guest {
    /// `antiphon-guest`, and `wapc-guest` from crates.io
    Rust,
    /// `@wapc/as-guest`, from npm
    #[value(name = "assemblyscript")]
    AssemblyScript,
    /// This project's header, with clang
    C,
    /// This project's files, with the standard toolchain
    Go,
    /// This project's files, with zig
    Zig,
}

/// Settings that make a project's commands use the toolchain on this machine.
pub(crate) struct Environment {
    /// The folder to put first on the path, if one is needed.
    pub(crate) programs: Option<PathBuf>,
    pub(crate) variables: Vec<(&'static str, &'static str)>,
}

/// The versions of the tools that built a module, by name.
type Versions = BTreeMap<String, String>;

impl Guest {
    /// Returns every guest with the name of its language on the command line.
    pub(crate) fn languages() -> impl Iterator<Item = (String, Self)> {
        let named = |guest: &Self| Some((guest.to_possible_value()?.get_name().to_owned(), *guest));
        Self::value_variants().iter().filter_map(named)
    }

    /// Returns settings that make a project in this language use the toolchain on this machine.
    ///
    /// # Errors
    ///
    /// The error says what is missing and how to install it.
    pub(crate) fn environment(self) -> Result<Environment> {
        self.toolchain()?;
        let variables = match self {
            Self::Rust => return rust::project_environment(),
            Self::C => make::C.environment(),
            Self::Go => make::GO.environment(),
            Self::Zig => make::ZIG.environment(),
            Self::AssemblyScript => Vec::new(),
        };
        Ok(Environment { programs: None, variables })
    }

    /// Returns the folder of the guest's source, relative to the root of the repository.
    fn source(self) -> &'static str {
        match self {
            Self::Rust => "guests/rust",
            Self::AssemblyScript => "guests/assemblyscript",
            Self::C => "guests/c",
            Self::Go => "guests/go",
            Self::Zig => "guests/zig",
        }
    }

    /// Returns the modules of the guest, each with its target as the compiler names it.
    fn modules(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self::Rust => rust::MODULES.map(|built| (built.file, built.target)).to_vec(),
            Self::AssemblyScript => {
                assemblyscript::MODULES.map(|(file, _)| (file, assemblyscript::TARGET)).to_vec()
            }
            Self::C => make::C.modules().into_iter().chain(make::C_FILES.modules()).collect(),
            Self::Go => make::GO.modules(),
            Self::Zig => make::ZIG.modules(),
        }
    }

    /// Returns the file names of the guest's modules.
    fn files(self) -> impl Iterator<Item = &'static str> {
        self.modules().into_iter().map(|(file, _)| file)
    }

    /// Checks that the guest's toolchain is installed.
    ///
    /// # Errors
    ///
    /// The error says what is missing and how to install it.
    fn toolchain(self) -> Result<()> {
        match self {
            Self::Rust => rust::find(),
            Self::AssemblyScript => assemblyscript::find(),
            Self::C => make::C.find().and_then(|()| make::C_FILES.find()),
            Self::Go => make::GO.find(),
            Self::Zig => make::ZIG.find(),
        }
    }

    /// Builds the guest's modules into `out`.
    fn build(self, root: &Path, out: &Path) -> Result<Vec<Module>> {
        let source = root.join(self.source());
        let toolchain = match self {
            Self::Rust => rust::build(&source, out),
            Self::AssemblyScript => assemblyscript::build(&source, out),
            Self::C => make::C.build(&source, out).and_then(|mut versions| {
                versions.extend(make::C_FILES.build(&source.join("files"), out)?);
                Ok(versions)
            }),
            Self::Go => make::GO.build(&source, out),
            Self::Zig => make::ZIG.build(&source, out),
        }
        .with_context(|| format!("{} was not built", self.source()))?;
        let module = |(file, target): (&str, &str)| {
            Ok(Module {
                file: file.to_owned(),
                fingerprint: Fingerprint::of(&out.join(file))?,
                source: self.source().to_owned(),
                target: target.to_owned(),
                toolchain: toolchain.clone(),
            })
        };
        self.modules().into_iter().map(module).collect()
    }
}

/// Runs the command in the repository at `root`.
pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let guests = args.only.map_or(Guest::value_variants().to_vec(), |guest| vec![guest]);
    let built = root.join("guests/built");
    if args.verify {
        verify(&guests, &built)
    } else if args.check {
        check(root, &guests, &built, args.installed)
    } else {
        build(root, &guests, &built)
    }
}

/// Builds `guests` and writes their modules and the manifest to `built`.
fn build(root: &Path, guests: &[Guest], built: &Path) -> Result<()> {
    // Built in a temporary folder first, so that a failed build changes nothing that is checked in.
    let scratch = tempfile::tempdir()?;
    let modules = build_all(root, guests, scratch.path())?;
    let mut manifest = Manifest::read_or_default(built)?;
    fs::create_dir_all(built)?;
    for module in modules {
        fs::copy(scratch.path().join(&module.file), built.join(&module.file))
            .with_context(|| format!("{} was not written", module.file))?;
        println!("{}: {}", module.file, module.fingerprint);
        manifest.put(module);
    }
    manifest.write(built)
}

/// Rebuilds `guests` and compares their digests with the manifest's. With `installed`, only guests
/// whose tools equal the manifest's are compared.
fn check(root: &Path, guests: &[Guest], built: &Path, installed: bool) -> Result<()> {
    let manifest = Manifest::read(built)?;
    let scratch = tempfile::tempdir()?;
    let mut compared = Vec::new();
    let mut found = BTreeMap::new();
    for guest in guests {
        if installed && let Err(missing) = guest.toolchain() {
            println!("{}: skipped: {missing:#}", guest.source());
            continue;
        }
        let rebuilt = guest.build(root, scratch.path())?;
        // Printed first, because a different compiler is the likeliest cause of a difference.
        let changes: Vec<_> = rebuilt.iter().flat_map(|module| manifest.toolchain_changes(module)).collect();
        for change in &changes {
            println!("{}: {change}", guest.source());
        }
        if installed && !changes.is_empty() {
            println!("{}: skipped: its tools differ from the manifest's", guest.source());
            continue;
        }
        found.extend(rebuilt.into_iter().map(|module| (module.file, module.fingerprint)));
        compared.push(*guest);
    }
    compare(&compared, &manifest, &found, "rebuilt")
}

/// Compares the checked-in modules of `guests` with the manifest.
fn verify(guests: &[Guest], built: &Path) -> Result<()> {
    let manifest = Manifest::read(built)?;
    let found = manifest::modules_in(built)?;
    compare(guests, &manifest, &found, "checked in")
}

/// Builds `guests` into `out`.
fn build_all(root: &Path, guests: &[Guest], out: &Path) -> Result<Vec<Module>> {
    let mut modules = Vec::new();
    for guest in guests {
        modules.extend(guest.build(root, out)?);
    }
    Ok(modules)
}

/// Reports on every module of `guests`, and fails if one differs from the manifest.
fn compare(
    guests: &[Guest],
    manifest: &Manifest,
    found: &BTreeMap<String, Fingerprint>,
    what: &str,
) -> Result<()> {
    let mut files: BTreeSet<&str> = guests.iter().flat_map(|guest| guest.files()).collect();
    if guests.len() == Guest::value_variants().len() {
        // If all guests are compared, report a file that no guest builds any more.
        files.extend(manifest.files());
        files.extend(found.keys().map(String::as_str));
    }
    let mut differences = 0;
    for file in files {
        let expected = manifest.get(file).map(|module| &module.fingerprint);
        match (expected, found.get(file)) {
            (Some(expected), Some(found)) if expected == found => {
                println!("{file}: equal to the manifest");
                continue;
            }
            (Some(expected), Some(found)) => {
                println!("{file}: differs\n  manifest:   {expected}\n  {what}: {found}");
            }
            (Some(_), None) => println!("{file}: in the manifest, but not {what}"),
            (None, _) => println!("{file}: not in the manifest"),
        }
        differences += 1;
    }
    if differences > 0 {
        bail!("{differences} modules differ from the manifest; `cargo xtask guests` rebuilds them");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> &'static [Guest] {
        Guest::value_variants()
    }

    fn manifest_and_found() -> (Manifest, BTreeMap<String, Fingerprint>) {
        let fingerprint = || Fingerprint { sha256: "00".to_owned(), size: 1 };
        let mut manifest = Manifest::default();
        let mut found = BTreeMap::new();
        for file in all().iter().flat_map(|guest| guest.files()) {
            manifest.put(Module {
                file: file.to_owned(),
                fingerprint: fingerprint(),
                source: String::new(),
                target: String::new(),
                toolchain: Versions::new(),
            });
            found.insert(file.to_owned(), fingerprint());
        }
        (manifest, found)
    }

    #[test]
    fn modules_as_in_the_manifest_pass() {
        let (manifest, found) = manifest_and_found();
        compare(all(), &manifest, &found, "found").unwrap();
    }

    #[test]
    fn a_changed_module_fails_unless_another_is_asked_for() {
        let (manifest, mut found) = manifest_and_found();
        found.get_mut(rust::MODULES[0].file).unwrap().sha256 = "11".to_owned();
        compare(all(), &manifest, &found, "found").unwrap_err();
        compare(&[Guest::AssemblyScript], &manifest, &found, "found").unwrap();
    }

    #[test]
    fn a_missing_module_fails() {
        let (manifest, mut found) = manifest_and_found();
        found.remove(rust::MODULES[0].file);
        compare(all(), &manifest, &found, "found").unwrap_err();
    }

    #[test]
    fn a_module_that_nobody_builds_fails() {
        let (manifest, mut found) = manifest_and_found();
        found.insert("stale.wasm".to_owned(), Fingerprint { sha256: "00".to_owned(), size: 1 });
        compare(all(), &manifest, &found, "found").unwrap_err();
    }
}
