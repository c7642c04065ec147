//! The engines by name.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use antiphon::{Capabilities, EngineOptions, EngineProviderFactory, Error, ErrorKind, Limits, Result};

use crate::engines;

/// Names an engine: by a configuration file, an option, a table of tenants.
///
/// Every engine has its name here, whether this build has the engine or not.
/// [`available`](Self::available) lists those that this build has. Any other is refused as
/// [`ErrorKind::Unsupported`], with a text that says which feature to turn on.
///
/// ```
/// use antiphon_host::{EngineKind, Module};
///
/// let guest = br#"(module
///   (import "wapc" "__guest_response" (func $respond (param i32 i32)))
///   (memory (export "memory") 1) (data (i32.const 0) "hello")
///   (func (export "__guest_call") (param i32 i32) (result i32)
///     (call $respond (i32.const 0) (i32.const 5)) (i32.const 1)))"#;
///
/// let engine = match std::env::var("GREETER_ENGINE") {
///     Ok(name) => name.parse()?,
///     Err(_) => EngineKind::default(),
/// };
/// let host = Module::builder().engine(engine).compile(guest)?.host()?.build()?;
/// assert_eq!(host.call("greet", b"")?, b"hello");
/// # Ok::<(), antiphon_host::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EngineKind {
    /// [Wasmtime](https://wasmtime.dev): compiles to machine code, fast once it has.
    Wasmtime,
    /// [wasmi](https://github.com/wasmi-labs/wasmi): interprets, ready at once.
    Wasmi,
}

impl EngineKind {
    /// Every engine that has a name here, in this build or not.
    pub const ALL: &[Self] = &[Self::Wasmtime, Self::Wasmi];

    /// Returns the engines of this build, in the order of [`ALL`](Self::ALL).
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|engine| engine.is_available())
    }

    /// Returns whether the engine is in this build.
    #[must_use]
    pub const fn is_available(self) -> bool {
        engines::compile(self).is_some()
    }

    /// Returns the engine's name, which never changes and is also the name of its cargo feature.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wasmtime => "wasmtime",
            Self::Wasmi => "wasmi",
        }
    }

    /// Compiles a module, in the binary or the text format, into a factory of providers for hosts
    /// of either kind. [`Module`](crate::Module) does so with less to write.
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`]: this build lacks the engine, or the engine lacks an option.
    /// - Any reason that the engine has against the module, mostly [`ErrorKind::InvalidModule`].
    pub fn factory(self, module: &[u8], options: &EngineOptions) -> Result<Arc<dyn EngineProviderFactory>> {
        match engines::compile(self) {
            Some(compile) => compile(module, options),
            None => Err(self.absent()),
        }
    }

    /// Returns what the engine can do when its options ask for it. One factory may do less: it
    /// counts no fuel, for example, unless its limits have some. Compiles a tiny module to find
    /// out.
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`]: this build lacks the engine.
    /// - [`ErrorKind::Engine`]: the engine does not work on this machine.
    pub fn capabilities(self) -> Result<Capabilities> {
        let ask =
            |options: &EngineOptions| self.factory(SMALLEST, options).map(|factory| factory.capabilities());
        let asked_for = |options: &EngineOptions| match ask(options) {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Capabilities::none()),
            asked => asked,
        };
        let mut can = ask(&EngineOptions::new())?;
        can.fuel |= asked_for(&EngineOptions::new().limits(Limits::new().fuel(1)))?.fuel;
        can.deterministic |= asked_for(&EngineOptions::new().deterministic(0, Duration::ZERO))?.deterministic;
        Ok(can)
    }

    /// Returns whether the engine compiles and this build can keep what it compiled. An interpreter
    /// has nothing to keep.
    #[must_use]
    pub const fn keeps_code(self) -> bool {
        engines::cache(self).is_some()
    }

    /// Returns the directory for the engine's code among this user's caches; `None` where the
    /// environment names no such place, or the engine [keeps no code](Self::keeps_code).
    #[must_use]
    pub fn default_cache_dir(self) -> Option<PathBuf> {
        engines::cache(self).and_then(|cache| (cache.default_directory)())
    }

    fn absent(self) -> Error {
        let what = format!("this build has no {self} engine: turn on the feature `{self}` of antiphon-host");
        Error::new(ErrorKind::Unsupported, what)
    }
}

/// The smallest module that is a waPC guest.
const SMALLEST: &[u8] = br#"(module (memory (export "memory") 0)
    (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 0)))"#;

/// The first engine of the build. In a build without any it is Wasmtime, whose refusal then says
/// so.
impl Default for EngineKind {
    fn default() -> Self {
        Self::available().next().unwrap_or(Self::Wasmtime)
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Finds an engine by its [`name`](EngineKind::name), in this build or not. Refuses any other name
/// as [`ErrorKind::Unsupported`], with the names that there are.
impl FromStr for EngineKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|engine| engine.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|engine| engine.name()).collect();
            let what = format!("no engine is called {name:?}; there are: {}", known.join(", "));
            Error::new(ErrorKind::Unsupported, what)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_is_found_by_the_name_that_it_shows() {
        for engine in EngineKind::ALL {
            assert_eq!(engine.to_string().parse::<EngineKind>().unwrap(), *engine);
        }
        assert_eq!(format!("{:>9}|", EngineKind::Wasmi), "    wasmi|");
    }

    #[test]
    fn a_name_of_no_engine_is_refused_with_those_that_there_are() {
        for name in ["", "quantum", "Wasmtime", "wasmi "] {
            let error = name.parse::<EngineKind>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert_eq!(error.message(), format!("no engine is called {name:?}; there are: wasmtime, wasmi"));
        }
    }

    #[test]
    fn the_default_is_the_first_engine_of_the_build() {
        let expected = if cfg!(feature = "wasmtime") || cfg!(not(feature = "wasmi")) {
            EngineKind::Wasmtime
        } else {
            EngineKind::Wasmi
        };
        assert_eq!(EngineKind::default(), expected);
    }

    #[test]
    fn an_engine_is_available_where_its_feature_is_on() {
        assert_eq!(EngineKind::Wasmtime.is_available(), cfg!(feature = "wasmtime"));
        assert_eq!(EngineKind::Wasmi.is_available(), cfg!(feature = "wasmi"));
    }

    #[test]
    fn an_engine_that_was_left_out_says_so() {
        for engine in EngineKind::ALL.iter().filter(|engine| !engine.is_available()) {
            for error in [
                engine.factory(SMALLEST, &EngineOptions::new()).err().unwrap(),
                engine.capabilities().unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert_eq!(
                    error.message(),
                    format!(
                        "this build has no {engine} engine: turn on the feature `{engine}` of antiphon-host"
                    )
                );
            }
        }
    }
}
