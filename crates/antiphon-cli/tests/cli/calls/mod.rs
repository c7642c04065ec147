//! `antiphon call`: what goes in, what comes out, what the guest may ask for.

mod answers;
mod host_calls;
mod input;
mod values;
mod wasi;
