//! Builds providers.

use std::sync::Arc;

use antiphon::EngineOptions;
use antiphon::errors::{Error, ErrorKind};
use wasmi::Config;

use crate::compiled::Compiled;

/// Translates a module and makes providers of it, in either mode.
///
/// ```
/// use antiphon::Limits;
/// use antiphon_wasmi::WasmiEngineProviderBuilder;
///
/// let module = br#"(module (memory (export "memory") 1)
///   (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#;
/// let factory = WasmiEngineProviderBuilder::new()
///     .module_bytes(module)
///     .limits(Limits::new().memory(8 << 20))
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
}

impl<'a> WasmiEngineProviderBuilder<'a> {
    antiphon::builder_methods!('a, Compiled, Error, async);

    /// Changes the settings of the engine that the builder makes, for example to turn a feature on,
    /// or to set wasmi's own limits on modules ([`wasmi::EnforcedLimits::strict`]).
    pub fn configure(mut self, configure: fn(&mut Config)) -> Self {
        self.configure = Some(configure);
        self
    }

    fn compile(&self) -> Result<Arc<Compiled>, Error> {
        let no_module = || Error::new(ErrorKind::Unsupported, "no `module_bytes` have been provided");
        let bytes = self.module_bytes.ok_or_else(no_module)?;
        Ok(Arc::new(Compiled::new(bytes, &self.options, self.configure)?))
    }
}
