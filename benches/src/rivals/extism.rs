//! extism: not a waPC host, but an alternative to one. Its plugin echoes with the functions of
//! extism's kernel.

use std::sync::Arc;

use anyhow::Result;
use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, Wasm};

use super::maker::Maker;
use crate::guest::Payload;
use crate::measure::{Family, SyncCall, Variant};

const OPERATION: &str = "echo";

fn compile() -> Result<CompiledPlugin> {
    let wasm = wat::parse_str(include_str!("../../guests/extism_echo.wat"))?;
    PluginBuilder::new(Manifest::new([Wasm::data(wasm)])).compile()
}

/// Returns the row of a plugin that is kept.
///
/// # Errors
///
/// When extism refuses the plugin.
pub fn variant() -> Result<Variant> {
    Ok(Variant::sync(
        Family::Extism,
        "`Plugin::call`, a plugin of its own",
        Call(Plugin::new_from_compiled(&compile()?)?),
    ))
}

struct Call(Plugin);

impl SyncCall for Call {
    fn call<R>(&mut self, payload: &Payload, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let answer: &[u8] = self.0.call(OPERATION, payload.borrowed)?;
        Ok(read(answer))
    }
}

/// Makes a fresh plugin for each call.
///
/// # Errors
///
/// When extism refuses the plugin.
pub fn fresh() -> Result<Maker> {
    let compiled = Arc::new(compile()?);
    Ok(Arc::new(move || {
        let compiled = Arc::clone(&compiled);
        Ok(Box::new(move |payload| {
            let mut plugin = Plugin::new_from_compiled(&compiled)?;
            let answer: &[u8] = plugin.call(OPERATION, payload)?;
            Ok(answer.len())
        }))
    }))
}
