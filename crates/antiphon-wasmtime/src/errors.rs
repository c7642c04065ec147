//! Errors that occur before there is a host.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use antiphon::errors::ErrorKind;

use crate::engine::shortage;

/// The result of building a provider.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of building a provider. It converts into [`antiphon::errors::Error`], which hosts use.
#[non_exhaustive]
pub enum Error {
    /// The settings of the builder contradict each other.
    BuilderInvalidConfig(String),
    /// The module was refused, or this build lacks an option that was set; the kind says which.
    Refused(antiphon::errors::Error),
    /// Wasmtime could not set up its engine.
    Wasmtime(wasmtime::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuilderInvalidConfig(what) => {
                write!(f, "Invalid WasmtimeEngineProviderBuilder configuration: {what}")
            }
            Self::Refused(error) => error.fmt(f),
            Self::Wasmtime(error) => error.fmt(f),
        }
    }
}

/// One line by default, like [`antiphon::errors::Error`]; `{:#?}` has everything.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuilderInvalidConfig(what) => f.debug_tuple("BuilderInvalidConfig").field(what).finish(),
            Self::Refused(error) => f.debug_tuple("Refused").field(error).finish(),
            Self::Wasmtime(error) if f.alternate() => f.debug_tuple("Wasmtime").field(error).finish(),
            // Wasmtime's own form has many lines.
            Self::Wasmtime(error) => f.debug_tuple("Wasmtime").field(&format!("{error:#}")).finish(),
        }
    }
}

/// An error does not change after it was made, so no panic leaves one half-changed.
impl UnwindSafe for Error {}
impl RefUnwindSafe for Error {}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BuilderInvalidConfig(_) => None,
            // These variants are transparent, so their sources are those of the inner errors.
            Self::Refused(error) => std::error::Error::source(error),
            Self::Wasmtime(error) => error.source(),
        }
    }
}

impl From<antiphon::errors::Error> for Error {
    fn from(error: antiphon::errors::Error) -> Self {
        Self::Refused(error)
    }
}

impl From<wasmtime::Error> for Error {
    fn from(error: wasmtime::Error) -> Self {
        // One of our errors may have come through a function of Wasmtime.
        match error.downcast() {
            Ok(ours) => Self::Refused(ours),
            Err(error) => match shortage(error, "an engine and its modules") {
                Ok(ours) => Self::Refused(ours.never_born()),
                Err(error) => Self::Wasmtime(error),
            },
        }
    }
}

impl From<Error> for antiphon::errors::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(error) => error,
            Error::BuilderInvalidConfig(_) => {
                Self::new(ErrorKind::Unsupported, error.to_string()).with_source(error)
            }
            Error::Wasmtime(_) => Self::new(ErrorKind::Engine, error.to_string()).with_source(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_is_one_line() {
        let refused = Error::from(antiphon::errors::Error::new(ErrorKind::InvalidModule, "no memory"));
        let wasmtime = Error::from(wasmtime::Error::msg("inner").context("outer\nline"));
        for (error, short) in [
            (Error::BuilderInvalidConfig("no module".into()), r#"BuilderInvalidConfig("no module")"#),
            (refused, r#"Refused(InvalidModule("no memory"))"#),
            (wasmtime, r#"Wasmtime("outer\nline: inner")"#),
        ] {
            assert_eq!(format!("{error:?}"), short);
            assert!(format!("{error:#?}").lines().count() > 1);
        }
    }
}
