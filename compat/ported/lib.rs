//! Nothing: this package is its test, `tests/ported.rs`.
