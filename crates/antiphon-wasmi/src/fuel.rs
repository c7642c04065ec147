//! Fuel in slices. A guest burns a slice of fuel, and then the time is checked. wasmi has no
//! epochs, but a call whose fuel runs out can be resumed. A limit of fuel is handed out in the same
//! slices.
//!
//! An import that takes long checks the time itself. If a tick has passed, it takes the rest of the
//! slice away.

use antiphon::errors::{Error, ErrorKind};
use antiphon::{FuelUse, ticker};
use wasmi::{Caller, Store};

use crate::data::Data;

/// A slice lasts some ten microseconds in plain code, and half a millisecond if each unit waits for
/// memory.
///
/// The slice also bounds the native stack. One handler of wasmi calls the next, and the compiler
/// decides which of these calls become jumps. With less optimisation than in a release some remain
/// calls; under debug assertions all of them do, with two kilobytes each.
const SLICE: u64 = if cfg!(debug_assertions) { 128 } else { 4096 };

/// The slice for modules whose bulk operations are not charged by their size. It has room for two
/// such operations, and one of them on a whole memory takes milliseconds.
const SLICE_OF_TABLE_GROWERS: u64 = if SLICE < 512 { SLICE } else { 512 };

/// The fuel that such a module may need for code without a branch: a thousand bulk operations.
const MOST_OF_TABLE_GROWERS: u64 = 1 << 18;

/// The fuel of one call, or of one start.
#[derive(Debug)]
pub(crate) struct Fuel {
    slice: u64,
    grows_tables: bool,
    /// The fuel that each call may burn at most.
    most: u64,
    /// The fuel that this call may burn at most.
    limit: u64,
    /// The fuel of this call that was handed out.
    granted: u64,
    /// The tick at which the time was last checked.
    tick: u64,
}

impl Fuel {
    pub(crate) fn new(grows_tables: bool, most: u64) -> Self {
        let slice = if grows_tables { SLICE_OF_TABLE_GROWERS } else { SLICE };
        Self { slice, grows_tables, most, limit: most, granted: 0, tick: 0 }
    }
}

/// Begins a call or a start with all of its fuel.
#[inline]
pub(crate) fn refill(store: &mut Store<Data>) -> Result<(), wasmi::Error> {
    let Data { conversation, fuel, .. } = store.data_mut();
    fuel.limit = conversation.fuel_within(fuel.most);
    fuel.granted = fuel.slice.min(fuel.limit);
    fuel.tick = ticker::now_inside();
    let granted = fuel.granted;
    store.set_fuel(granted)
}

/// Hands out the next slice to a guest that needs `required` units to go on. Returns whether a tick
/// has passed since the last check; an asynchronous guest then yields.
pub(crate) fn next_slice(store: &mut Store<Data>, required: u64) -> Result<bool, Error> {
    let left = store.get_fuel().map_err(not_counted)?;
    let data = store.data_mut();
    if data.limiter.starved_in_table_grow {
        let what = "wasmi cannot go on with a guest whose fuel ran out in `table.grow`";
        return Err(Error::new(ErrorKind::Engine, what));
    }
    let fuel = &mut data.fuel;
    if fuel.grows_tables && required > MOST_OF_TABLE_GROWERS {
        let what = "too much code without a branch for a module that grows tables";
        return Err(Error::new(ErrorKind::Trapped, what));
    }
    let wanted = fuel.slice.max(required).saturating_sub(left);
    let granted = wanted.min(fuel.limit.saturating_sub(fuel.granted));
    if left.saturating_add(granted) < required {
        return Err(Error::out_of_fuel(fuel.limit));
    }
    fuel.granted = fuel.granted.saturating_add(granted);
    let ticked = look(data)?;
    store.set_fuel(left.saturating_add(granted)).map_err(not_counted)?;
    Ok(ticked)
}

/// Checks the time, and whether the call was cancelled. Returns whether a tick has passed since the
/// last check.
#[inline]
pub(crate) fn look(data: &mut Data) -> Result<bool, Error> {
    data.conversation.check()?;
    let now = ticker::now_inside();
    Ok(std::mem::replace(&mut data.fuel.tick, now) != now)
}

/// Checks the time for an import that may take long. If a tick has passed, the guest's slice is
/// over, and the guest yields as soon as it can be suspended.
#[inline(always)]
pub(crate) fn look_in_import(guest: &mut Caller<'_, Data>) -> Result<(), wasmi::Error> {
    if guest.data().fuel.tick == ticker::now_inside() { Ok(()) } else { end_slice(guest) }
}

#[cold]
fn end_slice(guest: &mut Caller<'_, Data>) -> Result<(), wasmi::Error> {
    let left = guest.get_fuel()?;
    let data = guest.data_mut();
    data.conversation.check().map_err(|error| data.fail(error))?;
    data.fuel.granted = data.fuel.granted.saturating_sub(left);
    guest.set_fuel(0)
}

/// Returns the fuel that was burnt since the last [`refill`].
pub(crate) fn used(store: &Store<Data>) -> Option<FuelUse> {
    let Fuel { granted, limit, .. } = store.data().fuel;
    Some(FuelUse { burnt: granted.saturating_sub(store.get_fuel().ok()?), limit })
}

#[cold]
pub(crate) fn not_counted(error: wasmi::Error) -> Error {
    Error::new(ErrorKind::Engine, error.to_string())
}
