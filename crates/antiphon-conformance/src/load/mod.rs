//! Providers under load: one case at a time that measures the process, and traffic for minutes or
//! hours.

mod callee;
mod soak;
mod stress;
mod traffic;

pub use callee::{Callee, Parts};
pub use soak::{SoakLength, main as soak_main, soak, soak_callees};
pub use stress::{main as stress_main, stress};
