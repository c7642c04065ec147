#![doc = include_str!("../README.md")]
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(any(feature = "std", not(target_arch = "wasm32")))]
extern crate std;

#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
compile_error!("antiphon-guest is for guests of one thread: build without the target feature `atomics`");

mod answer;
#[cfg(feature = "capabilities")]
mod capabilities;
#[cfg(any(feature = "json", feature = "messagepack"))]
mod codec;
mod dispatch;
pub mod errors;
mod host;
mod imports;
mod log;
mod panic;
pub mod prelude;
mod request;
mod state;
mod table;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use antiphon_guest_macros::operation;

pub use answer::{Answered, IntoResponse};
#[cfg(any(feature = "json", feature = "messagepack"))]
pub use antiphon_codec::DecodeError;
#[cfg(feature = "capabilities")]
pub use capabilities::{Code, Refused, config, http, keyvalue, logging, module, secrets};
#[cfg(feature = "json")]
pub use codec::Json;
#[cfg(feature = "messagepack")]
pub use codec::MessagePack;
pub use dispatch::{install, register_fallback, register_function};
pub use errors::{CallResult, HandlerResult};
pub use host::{console_log, host_call};
#[cfg(feature = "log")]
pub use log::log_to_host;
#[doc(hidden)]
pub use panic::report_panic;
pub use request::FromRequest;
pub use table::{Entry, Operation, Table};
#[doc(hidden)]
pub use table::{Index, sorted};

#[doc(hidden)]
pub mod __private {
    //! Items that the macros expand to.
    pub use alloc::format;
}

/// The examples of the guide, compiled and run as doc tests.
#[cfg(all(doctest, feature = "capabilities", feature = "json", feature = "messagepack", feature = "log"))]
#[doc = include_str!("../../../docs/guests/rust.md")]
mod guide {}
