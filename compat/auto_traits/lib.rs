//! Nothing: this package is its test, `tests/auto_traits.rs`.
