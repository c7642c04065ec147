//! The variants that the error of `wapc` 2.x has, as functions that make an error.

use super::{BoxError, Error, ErrorKind, Fate, Fault};

/// The variants that the error of `wapc` 2.x has, for code that makes such errors.
///
/// ```
/// use antiphon::errors::{Error, ErrorKind};
///
/// let error = Error::General("the pool has no worker".into());
/// assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Engine, "General: the pool has no worker"));
/// ```
///
/// Each error displays what the variant displays. A pattern cannot name them, because this error is
/// no enum: code that matches on errors asks for the [`kind`](Error::kind).
#[expect(non_snake_case, reason = "code that was written for `wapc` 2.x names them as variants")]
impl Error {
    /// Creates the error of a module that lacks a function of waPC, as
    /// [`ErrorKind::InvalidModule`].
    #[cold]
    #[must_use]
    pub fn NoSuchFunction(name: String) -> Self {
        let error = Self::new(ErrorKind::InvalidModule, "No such function in Wasm module");
        if name.is_empty() { error } else { error.with_source(name) }
    }

    /// Creates an error from an I/O error, as `From` does.
    #[cold]
    #[must_use]
    pub fn IO(error: std::io::Error) -> Self {
        Self::from(error)
    }

    /// Creates an error of WebAssembly itself, as [`ErrorKind::Engine`].
    #[cold]
    #[must_use]
    pub fn WasmMisc(text: String) -> Self {
        Self::new(ErrorKind::Engine, format!("WebAssembly failure: {text}"))
    }

    /// Creates the error of a host call that failed, as [`ErrorKind::Engine`].
    #[cold]
    #[must_use]
    pub fn HostCallFailure(error: BoxError) -> Self {
        Self::new(ErrorKind::Engine, format!("Error during host call: {error}")).with_source(error)
    }

    /// Creates the error of a guest that did not start, as [`ErrorKind::InitFailed`].
    #[cold]
    #[must_use]
    pub fn InitFailed(text: String) -> Self {
        Self::new(ErrorKind::InitFailed, text)
    }

    /// Creates the error of a guest call that failed, as [`ErrorKind::GuestFailed`] with this text
    /// of the guest. In `wapc` 2.x a trap has this variant too. So if a provider returns the error,
    /// the instance is discarded.
    #[cold]
    #[must_use]
    pub fn GuestCallFailure(text: String) -> Self {
        let error = Self::new(ErrorKind::GuestFailed, text.clone()).with_guest_error(Some(text));
        error.with_fate(Fault::Guest, Fate::Discarded)
    }

    /// Creates the error of a module that was not replaced, as [`ErrorKind::ReplaceFailed`].
    #[cold]
    #[must_use]
    pub fn ReplacementFailed(text: String) -> Self {
        Self::new(ErrorKind::ReplaceFailed, format!("Module replacement failed: {text}"))
    }

    /// Creates an error from that of a provider. An error of this type, boxed, stays what it is;
    /// any other one becomes [`ErrorKind::Engine`].
    #[cold]
    #[must_use]
    pub fn ProviderFailure(error: BoxError) -> Self {
        if error.is::<Self>() {
            return Self::from_engine(error);
        }
        Self::new(ErrorKind::Engine, format!("WASM Provider failure: {error}")).with_source(error)
    }

    /// Creates an error of no particular kind, as [`ErrorKind::Engine`].
    #[cold]
    #[must_use]
    pub fn General(text: String) -> Self {
        Self::new(ErrorKind::Engine, format!("General: {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn each_displays_what_the_variant_displays_and_keeps_what_it_was_given() {
        let io = || std::io::Error::other("disk full");
        for (error, kind, text) in [
            (
                Error::NoSuchFunction("__guest_call".into()),
                ErrorKind::InvalidModule,
                "No such function in Wasm module",
            ),
            (Error::IO(io()), ErrorKind::Engine, "I/O Error: disk full"),
            (Error::WasmMisc("odd".into()), ErrorKind::Engine, "WebAssembly failure: odd"),
            (Error::HostCallFailure(io().into()), ErrorKind::Engine, "Error during host call: disk full"),
            (Error::InitFailed("odd".into()), ErrorKind::InitFailed, "Initialization failed: odd"),
            (Error::GuestCallFailure("odd".into()), ErrorKind::GuestFailed, "Guest call failure: odd"),
            (
                Error::ReplacementFailed("odd".into()),
                ErrorKind::ReplaceFailed,
                "Module replacement failed: odd",
            ),
            (Error::ProviderFailure(io().into()), ErrorKind::Engine, "WASM Provider failure: disk full"),
            (Error::General("odd".into()), ErrorKind::Engine, "General: odd"),
        ] {
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
        }
        let missing = Error::NoSuchFunction("__guest_call".into());
        assert_eq!(missing.source().unwrap().to_string(), "__guest_call");
        for error in [Error::HostCallFailure(io().into()), Error::ProviderFailure(io().into())] {
            assert!(error.source().unwrap().is::<std::io::Error>());
        }
    }

    #[test]
    fn the_error_of_a_guest_call_costs_the_instance_and_our_own_error_of_a_provider_stays_what_it_is() {
        let failure = Error::GuestCallFailure("odd".into());
        assert_eq!((failure.guest_error(), failure.fate()), (Some("odd"), Fate::Discarded));
        let ours = Error::ProviderFailure(Box::new(Error::new(ErrorKind::Trapped, "unreachable")));
        assert_eq!(
            (ours.kind(), ours.to_string().as_str()),
            (ErrorKind::Trapped, "Guest call failure: unreachable")
        );
    }
}
