//! A factory whose modules are test engines.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::TestEngine;
use crate::engine::{Capabilities, EngineProviderFactory, WebAssemblyEngineProvider};
use crate::errors::{BoxError, Error};
use crate::module::info::ModuleInfo;

/// Makes providers of a [`TestEngine`], whose instances are all alike. Other engines can be given
/// bytes that stand for them, as if they were their modules.
///
/// ```
/// use antiphon::testing::{TestEngine, TestFactory};
/// use antiphon::{EngineProviderFactory, WapcHost};
///
/// let says = |text: &'static str| TestEngine::new().operation("say", move |_| Ok(text.into()));
/// let factory = TestFactory::new(says("one")).module("two.wasm", says("two"));
///
/// assert_eq!(WapcHost::new(factory.provider()?, None)?.call("say", b"")?, b"one");
/// let other = factory.with_module(b"two.wasm")?;
/// assert_eq!(WapcHost::new(other.provider()?, None)?.call("say", b"")?, b"two");
/// assert!(factory.with_module(b"three.wasm").is_err());
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct TestFactory {
    engine: TestEngine,
    modules: Arc<BTreeMap<Vec<u8>, TestEngine>>,
    info: ModuleInfo,
}

impl TestFactory {
    /// Creates a factory of one engine.
    pub fn new(engine: TestEngine) -> Self {
        Self { engine, modules: Arc::default(), info: ModuleInfo::default() }
    }

    /// Adds the engine that [`with_module`](EngineProviderFactory::with_module) makes of these
    /// bytes.
    pub fn module(mut self, bytes: impl Into<Vec<u8>>, engine: TestEngine) -> Self {
        Arc::make_mut(&mut self.modules).insert(bytes.into(), engine);
        self
    }
}

impl EngineProviderFactory for TestFactory {
    fn capabilities(&self) -> Capabilities {
        Capabilities { suspend: cfg!(feature = "async"), ..Capabilities::none() }
    }

    fn module_info(&self) -> &ModuleInfo {
        &self.info
    }

    fn provider(&self) -> Result<Box<dyn WebAssemblyEngineProvider + Send>, BoxError> {
        Ok(Box::new(self.engine.clone()))
    }

    #[cfg(feature = "async")]
    fn provider_async(&self) -> Result<Box<dyn crate::WebAssemblyEngineProviderAsync + Send>, BoxError> {
        Ok(Box::new(self.engine.clone()))
    }

    fn with_module(&self, bytes: &[u8]) -> Result<Arc<dyn EngineProviderFactory>, BoxError> {
        let Some(engine) = self.modules.get(bytes) else {
            return Err(Error::invalid_module("no engine stands for these bytes").into());
        };
        Ok(Arc::new(Self { engine: engine.clone(), ..self.clone() }))
    }
}

impl fmt::Debug for TestFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestFactory").field("engine", &self.engine).finish_non_exhaustive()
    }
}
