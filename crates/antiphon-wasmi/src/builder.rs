//! Builds providers.

use std::sync::Arc;

use antiphon::EngineOptions;
use antiphon::errors::{Error, ErrorKind};
use wasmi::Config;

use crate::compiled::Compiled;

/// Translates a module and makes providers of it, in either mode. It has the methods of
/// `antiphon_wasmtime::WasmtimeEngineProviderBuilder`. Options that wasmi cannot serve, such as
/// directories, are refused as [`Unsupported`](ErrorKind::Unsupported) when the provider is built.
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
    /// The first option that wasmi cannot serve.
    lacks: Option<&'static str>,
}

impl<'a> WasmiEngineProviderBuilder<'a> {
    antiphon::builder_methods!('a, Compiled, Error, async);

    /// Not supported ([`Unsupported`](ErrorKind::Unsupported)): a module has to come as bytes. Its
    /// engine has to charge for fuel, and to start the module, in ways that another engine does
    /// not.
    pub fn module(self, _module: wasmi::Module) -> Self {
        self.lacks("modules that were translated before: give `module_bytes`")
    }

    /// Not supported ([`Unsupported`](ErrorKind::Unsupported)): each module has an engine of its
    /// own. An engine keeps the code of its modules forever, so a replaced module would stay in a
    /// shared one. Also, the prices of fuel bound the time of a slice, and they depend on the
    /// module; with other prices a guest could run out of fuel where wasmi cannot resume it.
    pub fn engine(self, _engine: wasmi::Engine) -> Self {
        self.lacks("an engine of the caller's: give `configure` a function")
    }

    /// Changes the settings of the engine that the builder makes, for example to turn a feature on,
    /// or to set wasmi's own limits on modules ([`wasmi::EnforcedLimits::strict`]).
    pub fn configure(mut self, configure: fn(&mut Config)) -> Self {
        self.configure = Some(configure);
        self
    }

    /// Not supported ([`Unsupported`](ErrorKind::Unsupported)): wasmi has no epochs. Deadlines in
    /// time need none.
    pub fn enable_epoch_interruptions<E>(self, _epoch_deadlines: E) -> Self {
        self.lacks("deadlines in epoch ticks: set deadlines in the limits")
    }

    /// Not supported ([`Unsupported`](ErrorKind::Unsupported)): a guest is ended between slices of
    /// fuel, which wasmi counts in any case.
    pub fn dangerously_without_interruption(self) -> Self {
        self.lacks("guests that cannot be interrupted: use the engine wasmtime")
    }

    /// Not supported ([`Unsupported`](ErrorKind::Unsupported)): there is no compiled code to store.
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
