//! The only place that loads native code. The code is not checked: the writer of the file could
//! make this process do anything.

#![allow(unsafe_code, reason = "wasmtime has no other way to load what it compiled")]

use std::path::Path;

use anyhow::Result;
use wasmtime::{Engine, Module};

/// Loads the result of [`Module::serialize`].
///
/// # Errors
///
/// When the code is of another wasmtime, or for another machine.
pub(crate) fn from_bytes(engine: &Engine, code: &[u8]) -> Result<Module> {
    // SAFETY: this process compiled it a moment ago.
    Ok(unsafe { Module::deserialize(engine, code) }?)
}

/// Maps a file of such code.
///
/// # Errors
///
/// When the code is of another wasmtime or for another machine, or the file cannot be read.
pub(crate) fn from_file(engine: &Engine, file: &Path) -> Result<Module> {
    // SAFETY: this process wrote it a moment ago, into a directory that only this user can write
    // to.
    Ok(unsafe { Module::deserialize_file(engine, file) }?)
}
