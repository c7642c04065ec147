//! A minimal provider of waPC guests on the interpreter wasmi. The guide
//! `docs/writing-a-provider.md` builds it step by step. It is meant for reading; for use there is
//! antiphon-wasmi.
#![forbid(unsafe_code)]

mod compiled;
mod imports;
pub mod parrot;
pub mod plain;
pub mod resumable;
mod start;
mod trap;
