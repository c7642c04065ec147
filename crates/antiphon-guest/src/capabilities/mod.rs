//! What a host grants its guests: each capability is a module of functions over host calls, whose
//! payloads and answers are MessagePack maps.

mod calls;
pub mod config;
pub mod http;
pub mod keyvalue;
pub mod logging;
pub mod module;
mod refused;
pub mod secrets;

pub use refused::{Code, Refused};
