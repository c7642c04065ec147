//! The keeper: what starts a pool's instances, replaces lost ones, and drops idle ones.
//!
//! Only the keeper starts instances. So no caller waits for the repair of an instance that another
//! caller broke, failed starts back off in one place, a module that does not start is tried by one
//! thread only, and lost capacity comes back by itself. The price is a thread switch when the pool
//! grows, which a call that has to wait pays anyway. With isolation per call the host starts each
//! instance itself, in its caller's time; the pool then keeps hosts without an instance.
//!
//! The keepers of all pools share the threads of one crew (`crew.rs`), so a pool that has nothing
//! to do costs no thread. The crew does not keep a pool alive. A start takes up to the deadline of
//! an init, and the crew has a bound. If it is reached, or if the system refuses a thread, a caller
//! that waits takes the keeper's part: it starts one instance at a time, in its own time. So guests
//! whose starts hang can take the whole crew, and no call of another pool waits for them. What then
//! waits for the crew is what no call waits for: spare instances, and the end of idle ones.

mod bell;
mod chores;
mod crew;

pub(crate) use bell::{Bell, Keeper};
pub(crate) use chores::LOOK;
