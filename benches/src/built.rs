//! Real guests: the modules of `guests/built`, and larger modules made from them.

use anyhow::{Result, ensure};
use wasm_encoder::{CodeSection, FunctionSection, Module, RawSection};
use wasmparser::{Parser, Payload};

/// A guest in AssemblyScript.
pub const ASSEMBLYSCRIPT: &[u8] = include_bytes!("../../guests/built/assemblyscript.wasm");

/// A guest in Rust.
pub const RUST: &[u8] = include_bytes!("../../guests/built/rust.wasm");

/// The operation of both guests that answers with its payload.
pub const OPERATION: &str = "echo";

/// Returns the module with each of its own functions `times` times. Nothing calls the copies. They
/// are code as a compiler emits it, and a call needs only a part of all the code, as in any larger
/// guest.
///
/// # Errors
///
/// When `wasm` is not a module, or its numbers of functions and bodies differ.
pub fn repeated(wasm: &[u8], times: usize) -> Result<Vec<u8>> {
    let (mut types, mut bodies) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::FunctionSection(section) => types = section.into_iter().collect::<Result<_, _>>()?,
            Payload::CodeSectionEntry(body) => bodies.push(body.as_bytes()),
            _ => {}
        }
    }
    ensure!(types.len() == bodies.len(), "{} functions with {} bodies", types.len(), bodies.len());

    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::FunctionSection(_) => {
                let mut section = FunctionSection::new();
                for _ in 0..times {
                    types.iter().for_each(|&index| {
                        section.function(index);
                    });
                }
                module.section(&section);
            }
            Payload::CodeSectionStart { .. } => {
                let mut section = CodeSection::new();
                for _ in 0..times {
                    bodies.iter().for_each(|body| {
                        section.raw(body);
                    });
                }
                module.section(&section);
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    module.section(&RawSection { id, data: &wasm[range] });
                }
            }
        }
    }
    Ok(module.finish())
}
