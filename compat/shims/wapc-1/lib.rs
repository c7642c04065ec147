#![doc = "Antiphon under the name of `wapc`."]
pub use antiphon::*;
