//! The keeper: the thread that starts instances, replaces lost ones, and drops idle ones.
//!
//! Only the keeper starts instances. So no caller waits for the repair of an instance that another
//! caller broke, failed starts back off in one place, a module that does not start is tried by one
//! thread only, and lost capacity comes back by itself. The price is a thread switch when the pool
//! grows, which a call that has to wait pays anyway. With isolation per call the host starts each
//! instance itself, in its caller's time; the pool then keeps hosts without an instance.
//!
//! The thread starts with the first chore, sleeps while there is none, and ends with the pool,
//! which it does not keep alive. If the system refuses the thread, a caller that waits takes the
//! keeper's part: it starts one instance at a time, in its own time. Idle instances then stay.

mod bell;
mod chores;

pub(crate) use bell::{Bell, Keeper};
pub(crate) use chores::LOOK;
