//! The thread that keeps a pool in shape.

pub(crate) mod bell;
