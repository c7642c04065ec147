//! The one place that loads native code. It is unchecked: whoever wrote the file could make this process do anything.

#![allow(unsafe_code, reason = "wasmtime has no other way to load what it compiled")]

use std::path::Path;

use anyhow::Result;
use wasmtime::{Engine, Module};

/// Loads what [`Module::serialize`] gave.
///
/// # Errors
///
/// When it is of another wasmtime, or for another machine.
pub(crate) fn from_bytes(engine: &Engine, code: &[u8]) -> Result<Module> {
    // SAFETY: this process compiled it a moment ago.
    Ok(unsafe { Module::deserialize(engine, code) }?)
}

/// Maps a file of it.
///
/// # Errors
///
/// As above, or when the file cannot be read.
pub(crate) fn from_file(engine: &Engine, file: &Path) -> Result<Module> {
    // SAFETY: this process wrote it a moment ago, into a directory that only this user can write to.
    Ok(unsafe { Module::deserialize_file(engine, file) }?)
}
