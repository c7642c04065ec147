#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod any_engine;
mod code_store;
mod providers;
#[cfg(feature = "wasmi")]
mod wasmi;
#[cfg(feature = "wasmtime")]
mod wasmtime;

pub use antiphon::EngineOptions;
pub use any_engine::AnyEngine;
pub use code_store::CodeStore;
