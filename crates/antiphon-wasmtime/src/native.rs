//! The door to native code, and all the unsafe code there is.

#![expect(unsafe_code, reason = "to load native code is to trust it")]

use wasmtime::{Engine, Module};

/// The code of a module on another engine whose compiler has the same settings.
///
/// # Errors
/// The settings differ, or there is no memory for it.
pub(crate) fn copy(module: &Module, engine: &Engine) -> wasmtime::Result<Module> {
    let code = module.serialize()?;
    // SAFETY: Wasmtime asks for bytes that it serialised itself, unchanged: nobody has seen these.
    unsafe { Module::deserialize(engine, code) }
}
