//! The engines by name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Capabilities, EngineOptions, EngineProviderFactory, Limits};

use crate::providers::{self, Compile};

/// An engine that is chosen while the program runs: by a configuration file, an option, a table of tenants.
///
/// Every engine has its name here, whether it is in this build or not. One that was left out is refused with a text
/// that says so, as [`ErrorKind::Unsupported`]; [`available`](Self::available) lists those that are in.
///
/// ```
/// use antiphon::WapcHost;
/// use antiphon_engines::{AnyEngine, EngineOptions};
///
/// let module = br#"(module
///   (import "wapc" "__guest_response" (func $respond (param i32 i32)))
///   (memory (export "memory") 1) (data (i32.const 0) "hello")
///   (func (export "__guest_call") (param i32 i32) (result i32)
///     (call $respond (i32.const 0) (i32.const 5)) (i32.const 1)))"#;
///
/// let engine = match std::env::var("GREETER_ENGINE") {
///     Ok(name) => name.parse()?,
///     Err(_) => AnyEngine::default(),
/// };
/// let factory = engine.factory(module, &EngineOptions::new())?;
/// let host = WapcHost::builder(factory.provider()?).build()?;
/// assert_eq!(host.call("greet", b"")?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnyEngine {
    /// [Wasmtime](https://wasmtime.dev): compiles to machine code, fast once it has.
    Wasmtime,
    /// [wasmi](https://github.com/wasmi-labs/wasmi): interprets, ready at once.
    Wasmi,
}

impl AnyEngine {
    /// Every engine that this crate knows, in this build or not.
    pub const ALL: &[Self] = &[Self::Wasmtime, Self::Wasmi];

    /// The engines of this build, in the order of [`ALL`](Self::ALL).
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|engine| engine.is_available())
    }

    /// Whether the engine is in this build.
    #[must_use]
    pub const fn is_available(self) -> bool {
        self.compile().is_some()
    }

    /// The engine's name, which is also that of its cargo feature; stable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wasmtime => "wasmtime",
            Self::Wasmi => "wasmi",
        }
    }

    /// Compiles a module, in the binary or the text format, and makes providers of it, in either mode.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for an engine that is not in this build, or that lacks what an option asks for; and
    /// whatever the engine has against the module.
    pub fn factory(
        self,
        module: &[u8],
        options: &EngineOptions,
    ) -> Result<Arc<dyn EngineProviderFactory>, Error> {
        match self.compile() {
            Some(compile) => compile(module, options),
            None => Err(self.absent()),
        }
    }

    /// What the engine can do, if its options ask for it: a factory may count no fuel, say, unless its limits have some.
    /// Compiles a tiny module to ask.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for an engine that is not in this build; [`ErrorKind::Engine`] for one that does not
    /// work on this machine.
    pub fn capabilities(self) -> Result<Capabilities, Error> {
        let ask =
            |options: &EngineOptions| self.factory(SMALLEST, options).map(|factory| factory.capabilities());
        let asked_for = |options: &EngineOptions| match ask(options) {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Capabilities::none()),
            asked => asked,
        };
        let mut can = ask(&EngineOptions::new())?;
        can.fuel |= asked_for(&EngineOptions::new().limits(Limits::new().with_fuel(1)))?.fuel;
        can.deterministic |= asked_for(&EngineOptions::new().deterministic(0, Duration::ZERO))?.deterministic;
        Ok(can)
    }

    const fn compile(self) -> Option<Compile> {
        match self {
            Self::Wasmtime => providers::WASMTIME,
            Self::Wasmi => providers::WASMI,
        }
    }

    fn absent(self) -> Error {
        let what =
            format!("this build has no {self} engine: turn on the feature `{self}` of antiphon-engines");
        Error::new(ErrorKind::Unsupported, what)
    }
}

/// The smallest module that is a waPC guest.
const SMALLEST: &[u8] = br#"(module (memory (export "memory") 0)
    (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 0)))"#;

/// The first engine of the build; of a build without any, Wasmtime, which then says so.
impl Default for AnyEngine {
    fn default() -> Self {
        Self::available().next().unwrap_or(Self::Wasmtime)
    }
}

impl fmt::Display for AnyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Knows every engine by its [`name`](AnyEngine::name), in this build or not. Another name is refused as
/// [`ErrorKind::Unsupported`], with those that there are.
impl FromStr for AnyEngine {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
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
        for engine in AnyEngine::ALL {
            assert_eq!(engine.to_string().parse::<AnyEngine>().unwrap(), *engine);
        }
        assert_eq!(format!("{:>9}|", AnyEngine::Wasmi), "    wasmi|");
    }

    #[test]
    fn a_name_of_no_engine_is_refused_with_those_that_there_are() {
        for name in ["", "quantum", "Wasmtime", "wasmi "] {
            let error = name.parse::<AnyEngine>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert_eq!(error.message(), format!("no engine is called {name:?}; there are: wasmtime, wasmi"));
        }
    }

    #[test]
    fn the_default_is_the_first_engine_of_the_build() {
        let expected = if cfg!(feature = "wasmtime") || cfg!(not(feature = "wasmi")) {
            AnyEngine::Wasmtime
        } else {
            AnyEngine::Wasmi
        };
        assert_eq!(AnyEngine::default(), expected);
    }

    #[test]
    fn an_engine_is_available_where_its_feature_is_on() {
        assert_eq!(AnyEngine::Wasmtime.is_available(), cfg!(feature = "wasmtime"));
        assert_eq!(AnyEngine::Wasmi.is_available(), cfg!(feature = "wasmi"));
    }

    #[test]
    fn an_engine_that_was_left_out_says_so() {
        for engine in AnyEngine::ALL.iter().filter(|engine| !engine.is_available()) {
            for error in [
                engine.factory(SMALLEST, &EngineOptions::new()).err().unwrap(),
                engine.capabilities().unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert_eq!(
                    error.message(),
                    format!(
                        "this build has no {engine} engine: turn on the feature `{engine}` of antiphon-engines"
                    )
                );
            }
        }
    }
}
