//! One call of an import: what its function works on.

use std::fmt;

use crate::abi::Abi;
use crate::session::Session;
use crate::stdio::Stream;

/// A function that receives the guest's output. It gets a line at a time, without its newline, at
/// most [`MAX_LINE`](crate::MAX_LINE) bytes and a mark long.
///
/// The text is safe to print: invalid UTF-8 is replaced, and control characters other than a tab
/// are escaped (`\u{1b}`). The receiver has to limit how many lines a guest may log; even an empty
/// line costs something.
pub type LogFn<'a> = dyn FnMut(Stream, &str) + 'a;

/// What a function of the interface works on. An import makes a call, and runs the method of its
/// own name.
///
/// The methods take the values that the guest passed, as wasm passes them, and return what the
/// import returns to the guest: an error number, or 0 for success. Every value is hostile.
///
/// # Errors
///
/// A method's `Err(`[`Stop`](crate::Stop)`)` does not return to the guest but ends its call: the
/// guest exited, or passed a pointer or length that leads outside of its memory.
pub struct Call<'a> {
    /// The state of the calling instance.
    pub session: &'a mut Session,
    /// The whole memory of the calling instance. Empty if it has none.
    pub memory: &'a mut [u8],
    /// The revision under whose name the function was imported.
    pub abi: Abi,
    /// Receives the lines that the guest writes.
    pub log: &'a mut LogFn<'a>,
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Call");
        debug.field("session", &self.session).field("memory", &self.memory.len()).field("abi", &self.abi);
        debug.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::World;
    use crate::fixture::Guest;

    #[test]
    fn a_call_shows_the_size_of_the_memory_and_not_its_bytes() {
        let mut guest = Guest::new(&World::default());
        let shown = guest.call(|call| format!("{call:?}"));
        assert!(shown.starts_with("Call { session: Session { world: World("), "{shown}");
        assert!(shown.ends_with(" }, memory: 65536, abi: Preview1, .. }"), "{shown}");
    }
}
