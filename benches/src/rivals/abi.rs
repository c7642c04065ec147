//! Code that all hand-written hosts share: checked reads and writes of a guest's memory, and the
//! host's handler.

use std::ops::Range;
use std::{fmt, str};

/// The eight arguments of `__host_call`: pointer and length of each of binding, namespace,
/// operation and payload.
pub(crate) type HostCallArguments = (u32, u32, u32, u32, u32, u32, u32, u32);

/// A fault of the guest, or `Suspended` for a guest that waits for its host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    OutOfBounds,
    NotUtf8,
    Suspended,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfBounds => "out of the guest's memory",
            Self::NotUtf8 => "a name is not UTF-8",
            Self::Suspended => "the guest waits for its host",
        })
    }
}

impl std::error::Error for Fault {}

fn span(ptr: u32, len: u32) -> Range<usize> {
    ptr as usize..(ptr as usize).saturating_add(len as usize)
}

#[inline]
pub(crate) fn read(memory: &[u8], ptr: u32, len: u32) -> Result<&[u8], Fault> {
    memory.get(span(ptr, len)).ok_or(Fault::OutOfBounds)
}

#[inline]
pub(crate) fn write(memory: &mut [u8], ptr: u32, bytes: &[u8]) -> Result<(), Fault> {
    let start = ptr as usize;
    memory
        .get_mut(start..start.saturating_add(bytes.len()))
        .ok_or(Fault::OutOfBounds)?
        .copy_from_slice(bytes);
    Ok(())
}

/// Reads the names of a host call as text, and its payload, all in place.
#[inline]
pub(crate) fn decode(memory: &[u8], arguments: HostCallArguments) -> Result<([&str; 3], &[u8]), Fault> {
    let (bd_ptr, bd_len, ns_ptr, ns_len, op_ptr, op_len, msg_ptr, msg_len) = arguments;
    let text = |ptr, len| str::from_utf8(read(memory, ptr, len)?).map_err(|_| Fault::NotUtf8);
    let names = [text(bd_ptr, bd_len)?, text(ns_ptr, ns_len)?, text(op_ptr, op_len)?];
    Ok((names, read(memory, msg_ptr, msg_len)?))
}

/// Echoes: the host's handler. It must not be inlined, because a library does not know its
/// handlers when it is compiled.
#[inline(never)]
pub(crate) fn handle(_names: [&str; 3], payload: &[u8]) -> Vec<u8> {
    payload.to_vec()
}
