#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "the crate is a test suite: a failed expectation of a case is a failed test"
)]

mod cases;
mod load;
mod run;
mod suite;
mod support;

pub use cases::cases;
pub use load::{Callee, Parts, SoakLength, soak, soak_callees, stress};
pub use run::{Setup, run};
pub use suite::{Case, Mode, Module, Need, Subject, guests_dir};

#[doc(hidden)]
pub mod macro_support {
    pub use crate::load::soak_main as soak;
    pub use crate::load::stress_main as stress;
    pub use crate::run::main;
}

/// Makes the `main` function of a test target that runs the suite on one provider.
///
/// The first argument is the provider's name, the second a function from a [`Module`] to its
/// [`EngineProviderFactory`](antiphon::EngineProviderFactory). The target needs `harness = false`.
///
/// ```no_run
/// # fn build(_: &antiphon_conformance::Module)
/// # -> Result<std::sync::Arc<dyn antiphon::EngineProviderFactory>, antiphon::errors::BoxError> { Err("".into()) }
/// antiphon_conformance::suite!(my_engine, |module| build(module));
/// # fn other() {}
/// ```
#[macro_export]
macro_rules! suite {
    ($name:ident, $provider:expr $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::macro_support::main(stringify!($name), option_env!("CARGO_MANIFEST_DIR"), $provider)
        }
    };
}

/// Makes the `main` function of a test target that runs the stress cases on one provider; see
/// [`stress()`].
///
/// The arguments are those of [`suite!`]. The target needs `harness = false`.
///
/// ```no_run
/// # fn build(_: &antiphon_conformance::Module)
/// # -> Result<std::sync::Arc<dyn antiphon::EngineProviderFactory>, antiphon::errors::BoxError> { Err("".into()) }
/// antiphon_conformance::stress!(my_engine, |module| build(module));
/// # fn other() {}
/// ```
#[macro_export]
macro_rules! stress {
    ($name:ident, $provider:expr $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::macro_support::stress(stringify!($name), $provider)
        }
    };
}

/// Makes the `main` function of a program that calls one provider for minutes or hours; see
/// [`soak()`].
///
/// The arguments are those of [`suite!`].
///
/// ```no_run
/// # fn build(_: &antiphon_conformance::Module)
/// # -> Result<std::sync::Arc<dyn antiphon::EngineProviderFactory>, antiphon::errors::BoxError> { Err("".into()) }
/// antiphon_conformance::soak!(my_engine, |module| build(module));
/// # fn other() {}
/// ```
#[macro_export]
macro_rules! soak {
    ($name:ident, $provider:expr $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::macro_support::soak(stringify!($name), $provider)
        }
    };
}
