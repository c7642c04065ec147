//! The engines that are measured.

#[cfg(feature = "antiphon")]
use std::sync::Arc;

#[cfg(feature = "antiphon")]
use antiphon::EngineProviderFactory;
#[cfg(feature = "antiphon")]
use antiphon_wasmi::WasmiEngineProviderBuilder;
#[cfg(feature = "antiphon")]
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;
use anyhow::{Result, bail};

/// The engine that runs the guest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Engine {
    /// Compiles with Cranelift.
    Wasmtime,
    /// Interprets.
    Wasmi,
}

impl Engine {
    /// Both engines.
    pub const ALL: [Self; 2] = [Self::Wasmtime, Self::Wasmi];

    /// Returns the engine's name, as on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wasmtime => "wasmtime",
            Self::Wasmi => "wasmi",
        }
    }

    /// Returns the engine of this name.
    ///
    /// # Errors
    ///
    /// When there is no such engine.
    pub fn named(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|engine| engine.name() == name) {
            Some(engine) => Ok(engine),
            None => bail!("no engine {name}: wasmtime or wasmi"),
        }
    }

    /// Returns Antiphon's factory of providers for a module, with the default limits and deadlines.
    ///
    /// # Errors
    ///
    /// When Antiphon refuses the module.
    #[cfg(feature = "antiphon")]
    pub fn factory(self, wasm: &[u8], cooperative: bool) -> Result<Arc<dyn EngineProviderFactory>> {
        Ok(match self {
            Self::Wasmtime => {
                WasmtimeEngineProviderBuilder::new().module_bytes(wasm).cooperative(cooperative).factory()?
            }
            Self::Wasmi => {
                WasmiEngineProviderBuilder::new().module_bytes(wasm).cooperative(cooperative).factory()?
            }
        })
    }
}
