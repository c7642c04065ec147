//! One call of an import: what its function works on.

use std::fmt;

use crate::abi::Abi;
use crate::session::Session;
use crate::stdio::Stream;

/// What receives the guest's output: a line at a time, without its newline, never longer than
/// [`MAX_LINE`](crate::MAX_LINE) bytes and a mark.
///
/// The text is safe to print: invalid UTF-8 is replaced, and control characters other than a tab are escaped
/// (`\u{1b}`). How many lines a guest may log is for the receiver to bound; an empty line costs something, too.
pub type LogFn<'a> = dyn FnMut(Stream, &str) + 'a;

/// What a function of the interface works on. An import makes one, and runs the method of its own name.
///
/// The methods take the values that the guest passed, as wasm passes them, and return what the import returns to it:
/// an error number, 0 for success. Every value is hostile.
///
/// # Errors
///
/// A method's `Err(`[`Stop`](crate::Stop)`)` does not return to the guest but ends its call: it passed a pointer or
/// length that leads outside of its memory, or it exited.
pub struct Call<'a> {
    /// The state of the calling instance.
    pub session: &'a mut Session,
    /// The whole memory of the calling instance; empty if it has none.
    pub memory: &'a mut [u8],
    /// The revision under whose name the function was imported.
    pub abi: Abi,
    /// What receives the lines that the guest writes.
    pub log: &'a mut LogFn<'a>,
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Call");
        debug.field("session", &self.session).field("memory", &self.memory.len()).field("abi", &self.abi);
        debug.finish_non_exhaustive()
    }
}
