//! The door to native code, and all the unsafe code there is.

#![expect(
    unsafe_code,
    reason = "to load native code is to trust it: what comes from a file is a type that only the check of a seal makes"
)]

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

/// Loads code whose seal was found whole, for an engine like the one that compiled it.
#[cfg(feature = "cache")]
pub(super) fn load(engine: &Engine, fitting: super::cache::Fitting) -> wasmtime::Result<Module> {
    use super::cache::Code;

    match fitting.into_code() {
        // SAFETY: Wasmtime asks for bytes that it serialised itself, unchanged then and as long as they are mapped.
        // A `Fitting` is made nowhere but where its seal was checked, over every byte and with a key that nobody but
        // this user can read; only this program seals with it, and only what `Module::serialize` returned. It is the
        // same open file, whatever its name means by now. Nobody but this user may write to it (`Code::Mapped` says
        // so), and this program never writes to a file that has its name: it writes another one and renames it.
        Code::Mapped(file) => unsafe { Module::deserialize_open_file(engine, file) },
        // SAFETY: as above, and the bytes are in this process alone since before their seal was checked.
        Code::Copied(bytes) => unsafe { Module::deserialize(engine, bytes) },
    }
}
