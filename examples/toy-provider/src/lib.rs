//! A provider of waPC guests on the interpreter wasmi, as small as can be: the one that the guide
//! `docs/writing-a-provider.md` builds, step by step. The provider to use is another one; this one is to be read.
#![forbid(unsafe_code)]

mod compiled;
mod imports;
pub mod parrot;
pub mod plain;
pub mod resumable;
mod start;
mod trap;
