//! The door to native code, and the only unsafe code in this crate.

#![expect(
    unsafe_code,
    reason = "loading native code means trusting it: code from a file has a type that only the check of a seal makes"
)]

use wasmtime::{Engine, Module};

/// Copies the code of a module to another engine whose compiler has the same settings.
///
/// # Errors
/// Fails if the settings differ, or there is no memory for the code.
pub(crate) fn copy(module: &Module, engine: &Engine) -> wasmtime::Result<Module> {
    let code = module.serialize()?;
    // SAFETY: Wasmtime requires bytes that it serialised itself, unchanged. These bytes come from
    // `serialize` directly, and no other code has seen them.
    unsafe { Module::deserialize(engine, code) }
}

/// Loads code whose seal was checked, for an engine like the one that compiled it.
#[cfg(feature = "cache")]
pub(super) fn load(engine: &Engine, fitting: super::cache::Fitting) -> wasmtime::Result<Module> {
    use super::cache::Code;

    match fitting.into_code() {
        // SAFETY: Wasmtime requires bytes that it serialised itself, unchanged since then and
        // for as long as they are mapped. A `Fitting` is made only where its seal was checked,
        // over every byte and with a key that only this user can read. Only this program seals
        // with that key, and it seals only what `Module::serialize` returned. The file is the
        // open file that was checked, whatever its name refers to by now. No other user may
        // write to it (`Code::Mapped` says so), and this program never writes to a file that
        // has its name: it writes another file and renames it.
        Code::Mapped(file) => unsafe { Module::deserialize_open_file(engine, file) },
        // SAFETY: as above. The bytes have been in this process alone since before their seal
        // was checked.
        Code::Copied(bytes) => unsafe { Module::deserialize(engine, bytes) },
    }
}
