//! The table of operations, made while the guest is compiled.

use crate::answer::Answered;

/// An operation as a type: what `#[operation]` makes of a function.
pub trait Operation {
    /// The name that the host calls it by.
    const NAME: &'static str;

    /// Decodes the payload, runs the function, and hands its answer to the host.
    fn run(payload: &[u8]) -> Answered;
}

/// What runs an operation.
type Run = fn(&[u8]) -> Answered;

/// A line of a table that is yet to be made.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    name: &'static str,
    run: Run,
}

impl Entry {
    /// The entry of an operation.
    #[must_use]
    pub const fn of<O: Operation>() -> Self {
        Self { name: O::NAME, run: O::run }
    }
}

/// The operations of a guest, in a static that [`operations!`](crate::operations) or [`table!`](crate::table) makes.
///
/// A name is found by its key: its first seven bytes and its length, in one number. The place of a key follows from the key,
/// so that finding it takes as long in a table of a hundred operations as in one of two.
#[derive(Debug)]
pub struct Table {
    slots: &'static [Slot],
    multiplier: u64,
    /// By how many bits a product of 64 bits is shifted to become an index.
    shift: u32,
}

/// A place in a table, taken or not.
#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u64,
    entry: Entry,
}

impl Slot {
    const EMPTY: Self = Self { key: u64::MAX, entry: Entry { name: "", run: nothing } };
}

/// Never runs: no name is found in an empty slot.
fn nothing(_payload: &[u8]) -> Answered {
    Answered::failure_of(&[])
}

/// A name's first seven bytes behind its length, as a number: the length modulo 256 is the lowest byte.
///
/// Two names of up to seven bytes have the same key only if they are the same. Not [`u64::MAX`], which takes a length of 255
/// and bytes that are no text.
pub(crate) const fn key(name: &[u8]) -> u64 {
    let mut bytes = (name.len() as u64).to_le_bytes();
    let mut at = 0;
    while at < name.len() && at < WHOLE {
        bytes[at + 1] = name[at];
        at += 1;
    }
    u64::from_le_bytes(bytes)
}

/// Names of up to so many bytes are wholly in their keys.
const WHOLE: usize = 7;

/// The slots of a table, and what its keys are multiplied by.
#[doc(hidden)]
#[derive(Debug)]
pub struct Slots<const LENGTH: usize> {
    slots: [Slot; LENGTH],
    multiplier: u64,
}

/// How many slots a table of so many operations has: a power of two, and half of them are free at least.
#[doc(hidden)]
#[must_use]
pub const fn slots_for(operations: usize) -> usize {
    let slots = (operations * 2).next_power_of_two();
    if slots < 2 { 2 } else { slots }
}

/// Builds the slots of these entries. For a static: what is wrong with the entries ends the compilation.
///
/// # Panics
///
/// If two entries have one name.
#[doc(hidden)]
#[must_use]
#[expect(clippy::indexing_slicing, reason = "`get` is not const, and whatever panics here does so while a guest is compiled")]
pub const fn build_slots<const LENGTH: usize>(entries: &[Entry]) -> Slots<LENGTH> {
    // Of some multipliers, the one that puts the fewest names elsewhere than where they are looked for first.
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut best = place::<LENGTH>(entries, GOLDEN);
    let mut attempt = 1;
    while attempt < 64 && best.1 > 0 {
        let placed = place::<LENGTH>(entries, GOLDEN.wrapping_mul(2 * attempt + 1));
        if placed.1 < best.1 {
            best = placed;
        }
        attempt += 1;
    }
    let mut at = 0;
    while at < entries.len() {
        let mut other = 0;
        while other < at {
            assert!(!same(entries[at].name, entries[other].name), "two operations have the same name");
            other += 1;
        }
        at += 1;
    }
    best.0
}

/// Places entries with this multiplier. How many are not where they are looked for first comes with them.
#[expect(clippy::indexing_slicing, reason = "`get` is not const, and an index is always less than the number of slots")]
const fn place<const LENGTH: usize>(entries: &[Entry], multiplier: u64) -> (Slots<LENGTH>, usize) {
    let mut slots = [Slot::EMPTY; LENGTH];
    let mut displaced = 0;
    let mut at = 0;
    while at < entries.len() {
        let entry = entries[at];
        let key = key(entry.name.as_bytes());
        let mut index = first_index(key, multiplier, shift(LENGTH));
        if slots[index].key != Slot::EMPTY.key {
            displaced += 1;
        }
        while slots[index].key != Slot::EMPTY.key {
            index = (index + 1) & (LENGTH - 1);
        }
        slots[index] = Slot { key, entry };
        at += 1;
    }
    (Slots { slots, multiplier }, displaced)
}

/// The bits of a product that are no part of an index into so many slots.
const fn shift(slots: usize) -> u32 {
    u64::BITS - slots.trailing_zeros()
}

/// Where a key is looked for first.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "what is left after the shift are the bits of an index")]
const fn first_index(key: u64, multiplier: u64, shift: u32) -> usize {
    (key.wrapping_mul(multiplier) >> shift) as usize
}

#[expect(clippy::indexing_slicing, reason = "`==` of text is not const; both are of one length")]
const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && one.len() == other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

impl Table {
    /// The table of no operation.
    pub(crate) const EMPTY: Self = Self::new(&const { build_slots::<2>(&[]) });

    /// The table of these slots.
    #[doc(hidden)]
    #[must_use]
    pub const fn new<const LENGTH: usize>(built: &'static Slots<LENGTH>) -> Self {
        Self { slots: &built.slots, multiplier: built.multiplier, shift: shift(LENGTH) }
    }

    /// The names of the operations, in no order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.slots.iter().filter(|slot| slot.key != Slot::EMPTY.key).map(|slot| slot.entry.name)
    }

    /// The operation of that name, whose key this is.
    #[inline(always)]
    pub(crate) fn find(&self, key: u64, name: &[u8]) -> Option<Run> {
        let mut index = first_index(key, self.multiplier, self.shift);
        loop {
            let slot = self.slots.get(index)?;
            if slot.key == key && (name.len() <= WHOLE || slot.entry.name.as_bytes() == name) {
                return Some(slot.entry.run);
            }
            if slot.key == Slot::EMPTY.key {
                return None;
            }
            index = (index + 1) & (self.slots.len() - 1);
        }
    }
}

/// A [`Table`] of operations, for a static: by the paths of functions that are `#[operation]`s.
///
/// ```
/// use antiphon_guest::{Table, operation, table};
///
/// #[operation]
/// fn echo(payload: &[u8]) -> &[u8] {
///     payload
/// }
///
/// static TABLE: Table = table![echo];
///
/// #[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
/// extern "C" fn wapc_init() {
///     antiphon_guest::install(&TABLE);
///     antiphon_guest::console_log("ready");
/// }
/// # wapc_init();
/// # assert_eq!(antiphon_guest::testing::call("echo", b"hi").unwrap(), b"hi");
/// ```
#[macro_export]
macro_rules! table {
    ($($operation:path),* $(,)?) => {{
        const ENTRIES: &[$crate::Entry] = &[$($crate::Entry::of::<$operation>()),*];
        $crate::Table::new(const { &$crate::build_slots::<{ $crate::slots_for(ENTRIES.len()) }>(ENTRIES) })
    }};
}

/// Makes a guest of operations: their table, and the `wapc_init` that installs it.
///
/// Once in a guest. A guest that has a `wapc_init` of its own makes a [`table!`](crate::table) instead, and
/// [installs](crate::install) it there.
///
/// ```
/// use antiphon_guest::{operation, operations};
///
/// #[operation]
/// fn greet(name: &str) -> String {
///     format!("hello, {name}")
/// }
///
/// mod math {
///     #[antiphon_guest::operation(name = "math/double")]
///     pub fn double(payload: &[u8]) -> Result<Vec<u8>, &'static str> {
///         let doubled = payload.iter().map(|byte| byte.checked_mul(2));
///         doubled.collect::<Option<_>>().ok_or("too large")
///     }
/// }
///
/// operations![greet, math::double];
/// # wapc_init();
/// # use antiphon_guest::testing::call;
/// # assert_eq!(call("greet", "Ada".as_bytes()).unwrap(), b"hello, Ada");
/// # assert_eq!(call("math/double", &[1, 2]).unwrap(), [2, 4]);
/// # assert_eq!(call("math/double", &[200]).unwrap_err(), "too large");
/// # assert_eq!(greet("Bob"), "hello, Bob");
/// ```
#[macro_export]
macro_rules! operations {
    ($($operation:path),* $(,)?) => {
        /// Installs the operations. The host calls it once, before any other call.
        #[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
        pub extern "C" fn wapc_init() {
            static TABLE: $crate::Table = $crate::table![$($operation),*];
            $crate::install(&TABLE);
        }
    };
}
