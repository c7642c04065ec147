//! The items that most guests use: `use antiphon_guest::prelude::*;`

pub use crate::{
    CallResult, HandlerResult, console_log, host_call, operation, operations, register_function,
};

#[cfg(any(feature = "json", feature = "messagepack"))]
pub use crate::DecodeError;
#[cfg(feature = "json")]
pub use crate::Json;
#[cfg(feature = "messagepack")]
pub use crate::MessagePack;
