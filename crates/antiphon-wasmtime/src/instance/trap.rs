//! Converts Wasmtime's errors to our typed errors. This happens before an error is boxed, because a
//! boxed error no longer tells what it is.

use std::fmt::{self, Write as _};

use antiphon::errors::{Error, ErrorKind};
use wasmtime::{FrameInfo, Store, Trap, WasmBacktrace};

use super::data::Data;
use crate::engine::shortage;

/// Converts the error of a guest call or a start, given the instance's store and the fuel that it
/// had.
#[cold]
pub(super) fn typed(error: wasmtime::Error, store: &Store<Data>, fuel: Option<u64>) -> Error {
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(Frames::new);
    let typed = match error.downcast::<Error>() {
        // One of our imports, or the epoch callback, returned this error.
        Ok(ours) => ours,
        Err(error) => match (error.downcast_ref(), fuel) {
            (Some(&Trap::OutOfFuel), Some(limit)) => Error::out_of_fuel(limit).with_source(Trap::OutOfFuel),
            (Some(&Trap::StackOverflow), _) => {
                let limit = store.engine().get_max_wasm_stack().try_into().unwrap_or(u64::MAX);
                Error::stack_overflow(limit).with_source(Trap::StackOverflow)
            }
            _ if backtrace.is_some() => from_trap(error, true),
            _ => match shortage(error, purpose(store)) {
                Ok(ours) => ours,
                Err(error) => from_trap(error, false),
            },
        },
    };
    let typed = store.data().limiter.0.explain(typed);
    match backtrace {
        Some(frames) => typed.with_backtrace(frames),
        None => typed,
    }
}

/// Returns whether an instantiation failed for lack of room, before any code of the guest ran.
#[cold]
pub(super) fn is_want_of_room(error: &wasmtime::Error) -> bool {
    !(error.is::<Trap>() || error.is::<Error>() || error.is::<WasmBacktrace>())
}

/// Returns what the system was asked for, as far as that can be told.
fn purpose(store: &Store<Data>) -> String {
    let engine = store.engine();
    match store.data().memory {
        None => format!(
            "an instance, whose memory reserves {} bytes of address space",
            engine.get_memory_reservation()
        ),
        // Everything else that an instance needs is there.
        Some(_) => format!("the stack of a guest, {} bytes", engine.get_async_stack_size()),
    }
}

fn from_trap(error: wasmtime::Error, in_guest: bool) -> Error {
    let Some(trap) = error.downcast_ref::<Trap>().copied() else {
        // Something that is not ours ended the guest. Without a guest on the stack, the engine
        // itself failed.
        let kind = if in_guest { ErrorKind::Trapped } else { ErrorKind::Engine };
        return Error::new(kind, format!("{}", error.root_cause())).with_source(error);
    };
    let kind = match trap {
        Trap::OutOfFuel => ErrorKind::OutOfFuel,
        // Only an engine that the caller interrupts by other means gets here, because our epochs
        // return typed errors.
        Trap::Interrupt => ErrorKind::DeadlineExceeded,
        _ => ErrorKind::Trapped,
    };
    // Only the trap is kept: the text that Wasmtime puts around it is its backtrace, which we have.
    Error::new(kind, trap.to_string()).with_source(trap)
}

/// How many frames are kept. The innermost ones say where the guest was, and a deep recursion must
/// not cost a million names.
const MAX_FRAMES: usize = 32;

/// The frames of a guest, one a line, innermost first. Names are demangled only when the frames are
/// formatted.
struct Frames {
    kept: Vec<Frame>,
    left_out: usize,
}

struct Frame {
    index: u32,
    name: Option<String>,
    /// The offset from the start of the module, in bytes.
    offset: Option<usize>,
}

impl Frames {
    fn new(backtrace: &WasmBacktrace) -> Self {
        let keep = |frame: &FrameInfo| Frame {
            index: frame.func_index(),
            name: frame.func_name().map(str::to_owned),
            offset: frame.module_offset(),
        };
        let frames = backtrace.frames();
        let kept: Vec<_> = frames.iter().take(MAX_FRAMES).map(keep).collect();
        Self { left_out: frames.len().saturating_sub(kept.len()), kept }
    }
}

/// How many bytes of a function's name are shown. A mangled name of a few hundred bytes can stand
/// for gigabytes.
const MAX_NAME: usize = 512;

/// Writes a function's name, demangled. The name comes from the module and is hostile: it is cut,
/// and cannot look like another frame or control a terminal.
fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let mut shown = Shown { to: f, room: MAX_NAME, cut: false };
    let written = write!(shown, "{:#}", rustc_demangle::demangle(name));
    if shown.cut { f.write_str("...") } else { written }
}

/// Passes text on, escaped, up to a number of bytes. Then it fails, which ends the demangling.
struct Shown<'a, 'b> {
    to: &'a mut fmt::Formatter<'b>,
    room: usize,
    cut: bool,
}

impl fmt::Write for Shown<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            let reorders = matches!(
                char,
                '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            );
            let escaped = (char.is_control() || reorders).then(|| char.escape_default());
            let length = escaped.as_ref().map_or(char.len_utf8(), ExactSizeIterator::len);
            let Some(room) = self.room.checked_sub(length) else {
                self.cut = true;
                return Err(fmt::Error);
            };
            self.room = room;
            match escaped {
                Some(escaped) => write!(self.to, "{escaped}")?,
                None => self.to.write_char(char)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Frame { index, name, offset }) in self.kept.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{number}: ")?;
            match name {
                Some(name) => write_name(f, name)?,
                None => write!(f, "function {index}")?,
            }
            if let Some(offset) = offset {
                write!(f, " at {offset:#x}")?;
            }
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more"),
        }
    }
}
