//! The thread that keeps a pool in shape: it starts instances, again where one was lost, and drops those that are idle.
//!
//! Starts are its alone, so that a caller never waits for the repair of what another one broke, and a module that does
//! not start is tried by one at a time. It is started with the first of these chores, sleeps while there is none, and
//! ends with the pool, which it does not keep alive.

mod bell;
mod chores;

pub(crate) use bell::Bell;
