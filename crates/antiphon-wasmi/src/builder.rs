//! Building providers.

use std::sync::Arc;

use antiphon::EngineOptions;
use antiphon::errors::{Error, ErrorKind};
use wasmi::Config;

use crate::compiled::Compiled;

/// Translates a module and makes providers of it, in either mode. The surface of
/// `antiphon_wasmtime::WasmtimeEngineProviderBuilder`: what wasmi has no answer to is
/// [`Unsupported`](ErrorKind::Unsupported) when the provider is built, directories among it.
///
/// ```
/// use antiphon::Limits;
/// use antiphon_wasmi::WasmiEngineProviderBuilder;
///
/// let module = br#"(module (memory (export "memory") 1)
///   (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#;
/// let factory = WasmiEngineProviderBuilder::new()
///     .module_bytes(module)
///     .limits(Limits::new().with_memory(8 << 20))
///     .factory()?;
/// assert!(factory.capabilities().deadline);
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct WasmiEngineProviderBuilder<'a> {
    module_bytes: Option<&'a [u8]>,
    options: EngineOptions,
    configure: Option<fn(&mut Config)>,
    /// The first option that wasmi has no answer to.
    lacks: Option<&'static str>,
}

impl<'a> WasmiEngineProviderBuilder<'a> {
    antiphon::builder_methods!('a, Compiled, Error, async);

    /// [`Unsupported`](ErrorKind::Unsupported): a module comes as bytes. Its engine has to charge for fuel, and to start it,
    /// in ways that another's does not.
    pub fn module(self, _module: wasmi::Module) -> Self {
        self.lacks("modules that were translated before: give `module_bytes`")
    }

    /// [`Unsupported`](ErrorKind::Unsupported): each module has an engine of its own, in which its code goes with it.
    pub fn engine(self, _engine: wasmi::Engine) -> Self {
        self.lacks("an engine of the caller's: give `configure` a function")
    }

    /// Changes the settings of the engine that will be made, for whoever needs a feature that is off, or wants wasmi's
    /// own limits on modules ([`wasmi::EnforcedLimits::strict`]) besides.
    pub fn configure(mut self, configure: fn(&mut Config)) -> Self {
        self.configure = Some(configure);
        self
    }

    /// [`Unsupported`](ErrorKind::Unsupported): wasmi has no epochs. Deadlines in time need none.
    pub fn enable_epoch_interruptions<E>(self, _epoch_deadlines: E) -> Self {
        self.lacks("deadlines in epoch ticks: set deadlines in the limits")
    }

    /// [`Unsupported`](ErrorKind::Unsupported): a guest is ended between slices of fuel, which wasmi counts in any case.
    pub fn dangerously_without_interruption(self) -> Self {
        self.lacks("guests that cannot be interrupted: use the engine wasmtime")
    }

    /// [`Unsupported`](ErrorKind::Unsupported): there is no compiled code to keep.
    pub fn enable_cache(self, _path: Option<&std::path::Path>) -> Self {
        self.lacks("a cache of compiled modules")
    }

    fn lacks(mut self, what: &'static str) -> Self {
        self.lacks.get_or_insert(what);
        self
    }

    fn compile(&self) -> Result<Arc<Compiled>, Error> {
        let directories = self.options.grants_directories().then_some(DIRECTORIES);
        if let Some(lacks) = self.lacks.or(directories) {
            return Err(Error::new(ErrorKind::Unsupported, format!("wasmi has no answer to {lacks}")));
        }
        let no_module = || Error::new(ErrorKind::Unsupported, "no `module_bytes` have been provided");
        let bytes = self.module_bytes.ok_or_else(no_module)?;
        Ok(Arc::new(Compiled::new(bytes, &self.options, self.configure)?))
    }
}

const DIRECTORIES: &str = "directories for guests: use the engine wasmtime";
