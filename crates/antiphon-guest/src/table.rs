//! The table of operations, built at compile time.
//!
//! A binary search by name would cost more than the rest of a call. Therefore the first seven bytes
//! of a name, after a byte with its length, form one number: the name's key. The host itself writes
//! the name so that the key can be read in one load. A multiplier, chosen at compile time, turns
//! the key into a slot of an index, so that one comparison finds a short name.

use crate::answer::Answered;

/// An operation as a type, generated from a function by `#[operation]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no operation",
    note = "put `#[operation]` above the function"
)]
pub trait Operation {
    /// The name by which the host calls the operation.
    const NAME: &'static str;

    /// Decodes the payload, calls the function, and sends its answer to the host.
    fn run(payload: &[u8]) -> Answered;
}

/// The function that runs an operation.
type Run = fn(&[u8]) -> Answered;

/// An entry for a table, as [`table!`](crate::table) collects them.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    name: &'static str,
    run: Run,
}

impl Entry {
    /// Returns the entry for an operation.
    #[must_use]
    pub const fn of<O: Operation>() -> Self {
        Self::new(O::NAME, O::run)
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str, run: fn(&[u8]) -> Answered) -> Self {
        Self { name, run }
    }
}

/// The operations of a guest, in a static that [`operations!`](crate::operations) or
/// [`table!`](crate::table) defines.
///
/// Entries are sorted by name and found by binary search. Before the search, an index of short
/// names finds most of them with one multiplication and one comparison, however many operations
/// there are.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    index: &'static [Slot; SLOTS],
    entries: &'static [Entry],
    /// The factor that turns a key into a slot of the index.
    multiplier: u64,
}

/// The number of slots in the index.
const SLOTS: usize = 32;

/// A slot of the index, used or free.
#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u64,
    run: Run,
}

impl Slot {
    const FREE: Self = Self { key: NO_KEY, run: nothing };
}

/// Not the key of any short name: its length is 0, and yet it has a first byte.
const NO_KEY: u64 = 1 << 8;

/// Never runs, because no key matches a free slot.
fn nothing(_payload: &[u8]) -> Answered {
    Answered::failure_of(&[])
}

/// Names of up to this many bytes fit into their keys completely.
const WHOLE: usize = 7;

/// Returns the key of a name: a number whose lowest byte is the length modulo 256, followed by the
/// first seven bytes of the name.
///
/// Two different names of up to seven bytes have different keys.
#[expect(clippy::indexing_slicing, reason = "`get` is not const; both indices are bounded by the condition")]
const fn key(name: &[u8]) -> u64 {
    let mut bytes = (name.len() as u64).to_le_bytes();
    let mut at = 0;
    while at < name.len() && at < WHOLE {
        bytes[at + 1] = name[at];
        at += 1;
    }
    u64::from_le_bytes(bytes)
}

/// Returns the slot of a key in the index.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "five bits are left after the shift")]
const fn place(key: u64, multiplier: u64) -> usize {
    (key.wrapping_mul(multiplier) >> (u64::BITS - SLOTS.trailing_zeros())) as usize
}

/// Sorts entries by name at compile time.
///
/// # Panics
///
/// If two entries have the same name, which fails the compilation.
#[doc(hidden)]
#[must_use]
#[expect(
    clippy::indexing_slicing,
    reason = "`get` is not const, and whatever panics here does so while a guest is compiled"
)]
pub const fn sorted<const LENGTH: usize>(mut entries: [Entry; LENGTH]) -> [Entry; LENGTH] {
    let mut sorted = 1;
    while sorted < LENGTH {
        let entry = entries[sorted];
        let mut at = sorted;
        while at > 0 && is_less(entry.name, entries[at - 1].name) {
            entries[at] = entries[at - 1];
            at -= 1;
        }
        entries[at] = entry;
        assert!(at == 0 || is_less(entries[at - 1].name, entry.name), "two operations have the same name");
        sorted += 1;
    }
    entries
}

/// Returns whether one name sorts before another, byte by byte.
#[expect(clippy::indexing_slicing, reason = "`<` of text is not const; the index is less than both lengths")]
const fn is_less(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() {
        if one[at] != other[at] {
            return one[at] < other[at];
        }
        at += 1;
    }
    one.len() < other.len()
}

/// An index of entries, and its multiplier.
#[doc(hidden)]
#[derive(Debug)]
pub struct Index {
    slots: [Slot; SLOTS],
    multiplier: u64,
}

impl Index {
    /// Tries several multipliers, and uses the one that leaves the fewest short names without a
    /// slot.
    #[must_use]
    pub const fn of(entries: &[Entry]) -> Self {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let (mut best, mut left_out) = Self::with(entries, GOLDEN);
        let mut attempt = 1;
        while attempt < 64 && left_out > 0 {
            let (index, without) = Self::with(entries, GOLDEN.wrapping_mul(2 * attempt + 1));
            if without < left_out {
                (best, left_out) = (index, without);
            }
            attempt += 1;
        }
        best
    }

    /// Builds the index for a multiplier. Also returns how many short names did not get a slot.
    #[expect(clippy::indexing_slicing, reason = "`get` is not const; a place is always within the index")]
    const fn with(entries: &[Entry], multiplier: u64) -> (Self, usize) {
        let mut slots = [Slot::FREE; SLOTS];
        let mut left_out = 0;
        let mut at = 0;
        while at < entries.len() {
            let Entry { name, run } = entries[at];
            if name.len() <= WHOLE {
                let key = key(name.as_bytes());
                let slot = &mut slots[place(key, multiplier)];
                if slot.key == NO_KEY {
                    *slot = Slot { key, run };
                } else {
                    left_out += 1;
                }
            }
            at += 1;
        }
        (Self { slots, multiplier }, left_out)
    }
}

impl Table {
    /// A table without operations.
    pub(crate) const EMPTY: Self = Self::new(&[], &const { Index::of(&[]) });

    /// Returns the table of these sorted entries and their index.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(entries: &'static [Entry], index: &'static Index) -> Self {
        Self { index: &index.slots, entries, multiplier: index.multiplier }
    }

    /// Returns the names of the operations, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.entries.iter().map(|entry| entry.name)
    }

    /// Returns the operation with this name and key, if the index has it.
    #[inline(always)]
    #[expect(
        clippy::indexing_slicing,
        reason = "a place is always within the index, and the compiler sees it"
    )]
    pub(crate) fn find_at_once(&self, key: u64, name: &[u8]) -> Option<Run> {
        let slot = &self.index[place(key, self.multiplier)];
        (name.len() <= WHOLE && slot.key == key).then_some(slot.run)
    }

    /// Returns the operation with this name, by binary search.
    pub(crate) fn find(&self, name: &[u8]) -> Option<Run> {
        let found = self.entries.binary_search_by(|entry| entry.name.as_bytes().cmp(name)).ok()?;
        self.entries.get(found).map(|entry| entry.run)
    }
}

/// A [`Table`] for a static, from the paths of functions with `#[operation]`.
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
        // Qualified paths, in which the name can only be a type. As a generic argument it could
        // also mean the function of that name, as a constant.
        const ENTRIES: &[$crate::Entry] = &$crate::sorted([$($crate::Entry::new(
            <$operation as $crate::Operation>::NAME,
            <$operation as $crate::Operation>::run,
        )),*]);
        $crate::Table::new(ENTRIES, const { &$crate::Index::of(ENTRIES) })
    }};
    ($($other:tt)*) => {
        ::core::compile_error!(
            "expected the paths of functions with #[operation], as in operations![greet, math::add]"
        )
    };
}

/// Defines a guest's operations: their table, and the `wapc_init` that installs it.
///
/// Use it once per guest. A guest with its own `wapc_init` defines a [`table!`](crate::table)
/// instead, and [installs](crate::install) it there.
///
/// This is not a link-time registration, because wasm linkers drop such sections or run them twice.
/// For a function without `#[operation]`, the compiler reports `expected type, found function`.
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
    ($($other:tt)*) => {
        ::core::compile_error!(
            "expected the paths of functions with #[operation], as in operations![greet, math::add]"
        );
    };
}
