//! Stress cases: they load the whole process and measure it, one at a time. Each prints its
//! figures.

use std::env;

use crate::suite::Case;

mod control;
mod cpu;
mod deadline;
mod isolation;
mod lateness;
mod one_cpu;
mod place;
mod replace;
mod run;
mod starved;

#[doc(hidden)]
pub use run::main;
pub use run::stress;

/// Returns every case, topic by topic.
fn cases() -> impl Iterator<Item = &'static Case> {
    [deadline::CASES, one_cpu::CASES, starved::CASES, isolation::CASES, replace::CASES].into_iter().flatten()
}

/// Returns the factor by which the cases are enlarged: `ANTIPHON_STRESS_SCALE`, 1 to 100.
fn scale() -> usize {
    let set = env::var("ANTIPHON_STRESS_SCALE").ok().and_then(|text| text.parse().ok());
    set.unwrap_or(1).clamp(1, 100)
}

/// Prints the figures of a case on a line of their own.
fn figures(text: impl std::fmt::Display) {
    println!("    {text}");
}
