//! Log lines with a level and fields.
//!
//! A line reaches the host's log with the module, the operation and the trace of the call. The
//! host drops lines below the grant's level, and lines that come faster than it allows.
//!
//! ```
//! use antiphon_guest::{logging, testing};
//!
//! testing::on_host_call(|call| {
//!     assert_eq!((call.namespace, call.operation), ("logging", "log"));
//!     Ok(b"\x80".to_vec())
//! });
//! logging::info("sold", &[("article", "tea".into()), ("count", 2.into())])?;
//! # Ok::<(), antiphon_guest::Refused>(())
//! ```

use serde::de::IgnoredAny;
use serde::{Serialize, Serializer};

use super::Refused;
use super::calls::call;
use crate::imports::Target;

/// How serious a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What an operator wants to see.
    Info,
    /// What may become a fault.
    Warn,
    /// A fault.
    Error,
}

/// The value of a field. Text, numbers and booleans are made one by `into`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number from 0 on.
    Unsigned(u64),
    /// A whole number.
    Signed(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(&'a str),
}

macro_rules! values {
    ($($type:ty as $variant:ident,)*) => {
        $(impl<'a> From<$type> for Value<'a> {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

values! {
    bool as Bool,
    u8 as Unsigned,
    u16 as Unsigned,
    u32 as Unsigned,
    u64 as Unsigned,
    i8 as Signed,
    i16 as Signed,
    i32 as Signed,
    i64 as Signed,
    f32 as Float,
    f64 as Float,
    &'a str as Text,
}

impl From<usize> for Value<'_> {
    fn from(value: usize) -> Self {
        // A guest's addresses have 32 bits.
        Self::Unsigned(u64::try_from(value).unwrap_or(u64::MAX))
    }
}

/// Logs lines through the only `logging` grant of the module, or the one named `default`.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a logger does nothing until it is given a line"]
pub struct Logger<'a> {
    grant: &'a str,
}

/// The fields of a line, as a map.
struct Fields<'a>(&'a [(&'a str, Value<'a>)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl<'a> Logger<'a> {
    /// Returns what logs through the grant with this name.
    pub const fn grant(name: &'a str) -> Self {
        Self { grant: name }
    }

    /// Logs a line. The message has at most 8 KiB, and there are at most 32 fields.
    ///
    /// # Errors
    ///
    /// The module has no such grant, the line is over its bounds, or the budget of the call is
    /// spent. A guest that does not depend on its log lets go of the error.
    pub fn log(self, level: Level, message: &str, fields: &[(&str, Value<'_>)]) -> Result<(), Refused> {
        #[derive(Serialize)]
        struct Line<'a> {
            level: Level,
            message: &'a str,
            fields: Fields<'a>,
        }

        let target = Target { binding: self.grant, namespace: "logging", operation: "log" };
        call(target, &Line { level, message, fields: Fields(fields) }).map(|IgnoredAny| ())
    }
}

macro_rules! levels {
    ($($(#[$doc:meta])* $name:ident as $level:ident,)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// Those of [`Logger::log`].
            pub fn $name(message: &str, fields: &[(&str, Value<'_>)]) -> Result<(), Refused> {
                Logger::default().log(Level::$level, message, fields)
            }
        )*
    };
}

levels! {
    /// Logs a step.
    trace as Trace,
    /// Logs what helps to find a fault.
    debug as Debug,
    /// Logs what an operator wants to see.
    info as Info,
    /// Logs what may become a fault.
    warn as Warn,
    /// Logs a fault.
    error as Error,
}
