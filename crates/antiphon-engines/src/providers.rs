//! Which engines are in this build. All that hangs on it is derived from here.

use std::sync::Arc;

use antiphon::errors::Error;
use antiphon::{EngineOptions, EngineProviderFactory};

use crate::code_store::Keeping;

/// Compiles a module on an engine.
pub(crate) type Compile = fn(&[u8], &EngineOptions) -> Result<Arc<dyn EngineProviderFactory>, Error>;

#[cfg(feature = "wasmtime")]
pub(crate) const WASMTIME: Option<Compile> = Some(crate::wasmtime::compile);
#[cfg(not(feature = "wasmtime"))]
pub(crate) const WASMTIME: Option<Compile> = None;

/// How Wasmtime keeps what it compiled, where it may.
#[cfg(all(feature = "wasmtime", feature = "cache"))]
pub(crate) const WASMTIME_CODE: Option<Keeping> = Some(crate::wasmtime::CODE);
#[cfg(not(all(feature = "wasmtime", feature = "cache")))]
pub(crate) const WASMTIME_CODE: Option<Keeping> = None;

#[cfg(feature = "wasmi")]
pub(crate) const WASMI: Option<Compile> = Some(crate::wasmi::compile);
#[cfg(not(feature = "wasmi"))]
pub(crate) const WASMI: Option<Compile> = None;
