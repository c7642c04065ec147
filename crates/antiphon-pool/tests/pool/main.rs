//! What a pool does with calls, faults, and replacements. Nothing here measures the process, so all
//! tests may run at once.

mod calls;
mod circle;
mod drain;
mod faults;
mod hostile;
mod replace;
mod router;
#[path = "../support/mod.rs"]
mod support;
