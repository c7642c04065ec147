//! Builds the Rust guests with a toolchain that can compile for WebAssembly: the one on the path,
//! or another that is named.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Environment, Versions};
use crate::process::{output, run};

/// The target of guests unless another is given, as rustc names it.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
/// The target whose standard library uses WASI.
const WASI: &str = "wasm32-wasip1";

/// A module to build.
#[derive(Clone, Copy)]
pub(crate) struct Built {
    pub(crate) file: &'static str,
    /// The package that it is built from.
    package: &'static str,
    pub(crate) target: &'static str,
}

impl Built {
    const fn new(file: &'static str, package: &'static str) -> Self {
        Self { file, package, target: TARGET }
    }

    const fn for_wasi(self) -> Self {
        Self { target: WASI, ..self }
    }
}

pub(crate) const MODULES: [Built; 10] = [
    Built::new("rust.wasm", "antiphon-guest-rust"),
    Built::new("rust-antiphon.wasm", "antiphon-guest-rust-antiphon"),
    Built::new("rust-antiphon-wasip1.wasm", "antiphon-guest-rust-antiphon").for_wasi(),
    Built::new("rust-capabilities.wasm", "antiphon-guest-rust-capabilities"),
    Built::new("rust-files.wasm", "antiphon-guest-rust-files").for_wasi(),
    Built::new("rust-no-std.wasm", "antiphon-guest-rust-no-std"),
    Built::new("rust-renamed.wasm", "antiphon-guest-rust-renamed"),
    Built::new("rust-smallest.wasm", "antiphon-guest-rust-smallest"),
    Built::new("rust-smallest-wapc-guest.wasm", "antiphon-guest-rust-smallest-wapc-guest"),
    Built::new("rust-types.wasm", "antiphon-guest-rust-types"),
];
/// The SDKs whose versions the manifest records.
const SDKS: [&str; 2] = ["antiphon-guest", "wapc-guest"];

/// The variable that names a folder with another `cargo` and `rustc` than those on the path, and
/// with a `rust-lld` where the compiler has none of its own.
const FOLDER: &str = "ANTIPHON_GUEST_RUST";

/// The advice if no toolchain was found.
const ADVICE: &str = "\
the Rust toolchain on the path cannot compile for wasm32-unknown-unknown and wasm32-wasip1; install the targets with
  rustup target add wasm32-unknown-unknown wasm32-wasip1
or name the folder of a toolchain that can in ANTIPHON_GUEST_RUST: .ci/guest-rust.sh makes one of Debian's packages";

/// Checks that a toolchain for the guests is installed.
pub(crate) fn find() -> Result<()> {
    Toolchain::find().map(drop)
}

/// Returns settings that make plain `cargo` in a project build a guest.
///
/// # Errors
///
/// The error says how to install a toolchain.
pub(crate) fn project_environment() -> Result<Environment> {
    let toolchain = Toolchain::find()?;
    Ok(Environment { programs: toolchain.folder, variables: Vec::new() })
}

/// The path of the checkout while its guests are compiled. Cargo derives names from the paths of
/// crates, and these names determine the order of items in a module. With one fixed path, modules
/// are equal wherever the checkout is.
const SEEN_AT: &str = "/tmp/antiphon-guests";

/// A symbolic link to the checkout, removed on drop. Other builds wait until then.
struct Seen {
    _lock: File,
}

impl Seen {
    fn new(root: &Path) -> Result<Self> {
        // The lock belongs to the process: a killed process leaves the link behind, but not the
        // lock.
        let lock = File::create(Path::new(SEEN_AT).with_extension("lock"))?;
        lock.lock()?;
        let _ = fs::remove_file(SEEN_AT);
        #[cfg(unix)]
        let linked = std::os::unix::fs::symlink(root, SEEN_AT);
        #[cfg(not(unix))]
        let linked: std::io::Result<()> = Err(std::io::ErrorKind::Unsupported.into());
        linked.with_context(|| format!("cannot create the link {SEEN_AT} to the checkout"))?;
        Ok(Self { _lock: lock })
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        let _ = fs::remove_file(SEEN_AT);
    }
}

/// Builds the crates in `source` into `out`.
pub(crate) fn build(source: &Path, out: &Path) -> Result<Versions> {
    let toolchain = Toolchain::find()?;
    let root = source.ancestors().nth(2).context("the guests are not in a checkout")?.canonicalize()?;
    let _seen = Seen::new(&root)?;
    let source = &Path::new(SEEN_AT).join("guests/rust");
    let manifest = &source.join("Cargo.toml");
    // Fetched first, because the flags name the folders of the sources, which must exist.
    run(toolchain.cargo(source)?.args(["fetch", "--locked", "--manifest-path"]).arg(manifest))?;
    // A temporary folder, so that nothing stale is used and no other build's lock is in the way.
    let target = tempfile::tempdir()?;
    for Built { file, package, target: triple } in MODULES {
        // One package at a time: built together, each would get the features that the others
        // enable.
        run(toolchain
            .cargo(source)?
            .args(["build", "--release", "--locked", "--package", package, "--target", triple])
            .arg("--manifest-path")
            .arg(manifest)
            .arg("--target-dir")
            .arg(target.path()))?;
        let release = target.path().join(triple).join("release");
        let module = release.join(package.replace('-', "_")).with_extension("wasm");
        fs::copy(&module, out.join(file)).with_context(|| format!("{} was not copied", module.display()))?;
    }
    toolchain.versions(source)
}

/// A rustc and a cargo that compile for [`TARGET`] and [`WASI`].
struct Toolchain {
    /// Where they are, if not on the path.
    folder: Option<PathBuf>,
}

impl Toolchain {
    /// Takes the toolchain that [`FOLDER`] names as it is, or the one on the path if it has the
    /// targets.
    fn find() -> Result<Self> {
        if let Some(folder) = std::env::var_os(FOLDER) {
            let folder = std::path::absolute(folder)?;
            let is_there = ["cargo", "rustc"].iter().all(|program| folder.join(program).exists());
            ensure!(is_there, "{FOLDER} names {}, which has no cargo and rustc", folder.display());
            return Ok(Self { folder: Some(folder) });
        }
        let on_path = Self { folder: None };
        let has = |target| on_path.ask(&["--print", "target-libdir", "--target", target]).is_ok_and(is_dir);
        ensure!(has(TARGET) && has(WASI), ADVICE);
        Ok(on_path)
    }

    /// Returns a program of the toolchain, by name or path.
    fn program(&self, name: &str) -> PathBuf {
        self.folder.as_ref().map_or_else(|| name.into(), |folder| folder.join(name))
    }

    /// Returns a cargo command in `source` that leaves no path of this machine in the module.
    fn cargo(&self, source: &Path) -> Result<Command> {
        let mut cargo = Command::new(self.program("cargo"));
        cargo
            .current_dir(source)
            .env("CARGO_ENCODED_RUSTFLAGS", self.remaps(source)?.join("\u{1f}"))
            .env("RUSTC", self.program("rustc"))
            // The cargo that runs xtask sets this, and another rustc must not load its libraries.
            .env_remove("LD_LIBRARY_PATH");
        Ok(cargo)
    }

    /// Returns compiler flags that replace the path of every source folder by a fixed name.
    fn remaps(&self, source: &Path) -> Result<Vec<String>> {
        let mut remaps = Vec::new();
        // Both the link's path and its target, because rustc may resolve the link.
        for source in [source, &*source.canonicalize()?] {
            remaps.push(remap(source, "/guest"));
            // The folder of antiphon-guest.
            if let Some(root) = source.ancestors().nth(2) {
                remaps.push(remap(&root.join("crates"), "/antiphon"));
            }
        }
        // The sources of each registry are in a folder named after the registry's address.
        for registry in fs::read_dir(cargo_home()?.join("registry/src")).into_iter().flatten() {
            remaps.push(remap(&registry?.path(), "/registry"));
        }
        let std = self.std_source()?;
        // The name that a standard library from rust-lang.org bears in any case.
        let name = format!("/rustc/{}", self.detail("commit-hash")?);
        remaps.push(remap(&std, &name));
        // It may be a link, and rustc may follow it.
        remaps.extend(std.canonicalize().map(|std| remap(&std, &name)));
        Ok(remaps)
    }

    /// Returns the path of the standard library's source, if it is installed.
    fn std_source(&self) -> Result<PathBuf> {
        let sysroot = self.ask(&["--print", "sysroot"])?;
        Ok(Path::new(&sysroot).join("lib/rustlib/src/rust"))
    }

    /// Returns the versions of all tools that take part in the build.
    fn versions(&self, source: &Path) -> Result<Versions> {
        let cargo = output(Command::new(self.program("cargo")).arg("--version"))?;
        let lld = output(Command::new(self.lld()?).args(["-flavor", "wasm", "--version"]))?;
        let mut versions = Versions::from([
            ("rustc".to_owned(), after(&self.ask(&["--version"])?, "rustc ")),
            ("cargo".to_owned(), after(&cargo, "cargo ")),
            ("lld".to_owned(), lld),
        ]);
        for sdk in SDKS {
            versions.insert(sdk.to_owned(), sdk_version(source, sdk)?);
        }
        Ok(versions)
    }

    /// Returns the linker that rustc calls.
    fn lld(&self) -> Result<PathBuf> {
        let named = self.program("rust-lld");
        if named.exists() {
            return Ok(named);
        }
        let bundled = Path::new(&self.ask(&["--print", "sysroot"])?)
            .join("lib/rustlib")
            .join(self.detail("host")?)
            .join("bin/rust-lld");
        Ok(if bundled.exists() { bundled } else { "rust-lld".into() })
    }

    /// Returns a line of `rustc --version --verbose`, without its key.
    fn detail(&self, key: &str) -> Result<String> {
        let details = self.ask(&["--version", "--verbose"])?;
        let value = details.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        Ok(value.with_context(|| format!("rustc does not report its {key}"))?.to_owned())
    }

    /// Runs rustc with `args` and returns its output.
    fn ask(&self, args: &[&str]) -> Result<String> {
        output(Command::new(self.program("rustc")).args(args).env_remove("LD_LIBRARY_PATH"))
    }
}

/// Returns whether there is a folder at `path`.
fn is_dir(path: String) -> bool {
    Path::new(&path).is_dir()
}

/// Returns the flag that makes the compiler write `name` instead of `path`.
fn remap(path: &Path, name: &str) -> String {
    format!("--remap-path-prefix={}={name}", path.display())
}

/// Returns `text` without `prefix`.
fn after(text: &str, prefix: &str) -> String {
    text.trim_start_matches(prefix).to_owned()
}

/// Returns the folder in which cargo keeps registries.
fn cargo_home() -> Result<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .context("neither CARGO_HOME nor HOME is set")
}

/// Returns the version of an SDK in the lock file of the crates in `source`.
fn sdk_version(source: &Path, sdk: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let lock: Lock = toml::from_str(&fs::read_to_string(source.join("Cargo.lock"))?)?;
    let package = lock.package.into_iter().find(|package| package.name == sdk);
    Ok(package.with_context(|| format!("Cargo.lock does not name {sdk}"))?.version)
}
