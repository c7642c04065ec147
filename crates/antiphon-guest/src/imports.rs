//! waPC's imports and exports, and the memory that the host writes to: all of the unsafe code.
//!
//! On targets other than wasm32, `testing` is the host; the rest of this file is the same there.

#![expect(
    unsafe_code,
    reason = "imports are foreign functions, an export is a symbol, and the host writes into our memory"
)]

use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, UnsafeCell};

use crate::dispatch::{serve, serve_at_once};

/// Requests whose operation and payload are each shorter than this are read into fixed memory.
pub(crate) const ROOM: usize = 1024;
/// Where a name begins. The byte before it is its length, so that one number is its key.
const FRONT: usize = 1;
/// The number of bytes in a key.
const KEY: usize = 8;

/// The fixed memory for one request.
#[repr(C, align(8))]
struct Memory {
    name: [u8; ROOM + KEY],
    payload: [u8; ROOM],
}

impl Memory {
    #[inline(always)]
    fn key_mut(&mut self) -> &mut [u8] {
        self.name.get_mut(..KEY).unwrap_or_default()
    }

    /// Returns the key of the name: see `table.rs`.
    #[inline(always)]
    fn key(&self) -> u64 {
        self.name.first_chunk().map_or(0, |key| u64::from_le_bytes(*key))
    }

    /// Returns the operation's name and the payload.
    ///
    /// # Safety
    ///
    /// Both lengths must be less than [`ROOM`].
    #[inline(always)]
    unsafe fn request(&self, name_length: usize, payload_length: usize) -> (&[u8], &[u8]) {
        // SAFETY: the caller ensures that both lengths are less than `ROOM`.
        unsafe {
            (
                self.name.get_unchecked(FRONT..FRONT + name_length),
                self.payload.get_unchecked(..payload_length),
            )
        }
    }
}

/// Memory that requests are read into: fixed for small ones, a reused vector for large ones.
///
/// Both are lent to one request at a time. If the host calls the guest during a host call, that
/// request gets memory of its own, so that the first handler's payload stays intact.
pub(crate) struct Area {
    /// [`ROOM`] while the memory is free, 0 while it is lent.
    room: Cell<usize>,
    memory: UnsafeCell<Memory>,
    /// Empty while the vector is lent.
    large: Cell<Vec<u8>>,
}

impl Area {
    pub(crate) const fn new() -> Self {
        Self {
            room: Cell::new(ROOM),
            memory: UnsafeCell::new(Memory { name: [0; ROOM + KEY], payload: [0; ROOM] }),
            large: Cell::new(Vec::new()),
        }
    }

    /// Reads and serves a request of these lengths. Returns whether the guest answered.
    #[inline(always)]
    pub(crate) fn serve(&self, name_length: usize, payload_length: usize) -> bool {
        // One comparison checks both lengths, and whether the memory is free.
        if (name_length | payload_length) >= self.room.get() {
            return self.serve_large(name_length, payload_length);
        }
        self.room.set(0);
        // SAFETY: `room` was not 0, so nothing else borrows the memory, and it stays 0 until this
        // borrow has ended. There is only one thread.
        let memory = unsafe { &mut *self.memory.get() };
        memory.key_mut().copy_from_slice(&(name_length as u64).to_le_bytes());
        read_request(&mut memory.name, &mut memory.payload);
        // SAFETY: both lengths are less than `ROOM`, because the OR of both is.
        let (name, payload) = unsafe { memory.request(name_length, payload_length) };
        let answered = match serve_at_once(memory.key(), name, payload) {
            Some(answered) => answered,
            // SAFETY: the memory is lent to this request, both lengths are less than `ROOM`, and
            // the references into the memory are not used again.
            None => unsafe { self.serve_lent(name_length, payload_length) },
        };
        self.room.set(ROOM);
        answered
    }

    /// Serves the request in the fixed memory if the index does not have its operation. It borrows
    /// the memory again, so that the common path keeps nothing for this path.
    ///
    /// # Safety
    ///
    /// The memory must be lent to the caller: `room` is 0 until this returns. Both lengths must be
    /// less than [`ROOM`], and no earlier reference into the memory may be used again.
    #[cold]
    #[inline(never)]
    unsafe fn serve_lent(&self, name_length: usize, payload_length: usize) -> bool {
        // SAFETY: the caller ensures that nothing else writes, and that both lengths fit.
        let (name, payload) = unsafe { (*self.memory.get()).request(name_length, payload_length) };
        serve(name, payload)
    }

    /// Serves a request that is large, or that comes while the fixed memory is lent.
    #[cold]
    #[inline(never)]
    fn serve_large(&self, name_length: usize, payload_length: usize) -> bool {
        let length = FRONT.saturating_add(name_length).saturating_add(payload_length);
        let mut memory = self.large.take();
        if memory.len() < length {
            // Drop the old vector first, because there may not be room for both.
            drop(memory);
            memory = vec![0; length];
        }
        let (name, payload) = memory.split_at_mut(FRONT + name_length);
        read_request(name, payload);
        let named = name.get(FRONT..).unwrap_or_default();
        let answered = serve(named, payload.get(..payload_length).unwrap_or_default());
        self.large.set(memory);
        answered
    }
}

/// Lets the host write the name to `name`, from `FRONT` on, and the payload to `payload`.
///
/// Both must hold the lengths of the current `__guest_call`, because the host writes that much.
#[inline(always)]
fn read_request(name: &mut [u8], payload: &mut [u8]) {
    let name = name.get_mut(FRONT..).unwrap_or_default();
    #[cfg(target_arch = "wasm32")]
    // SAFETY: the host writes as many bytes as it announced in the current `__guest_call`, and both
    // slices have at least that length.
    unsafe {
        host::__guest_request(name.as_mut_ptr(), payload.as_mut_ptr());
    }
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::guest_request(name, payload);
}

/// A value that an instance keeps, in a guest with a single thread.
#[cfg(target_arch = "wasm32")]
pub(crate) struct Kept<T>(T);

// SAFETY: the crate refuses to compile for wasm32 with atomics, so there is only one thread.
#[cfg(target_arch = "wasm32")]
unsafe impl<T> Sync for Kept<T> {}

#[cfg(target_arch = "wasm32")]
impl<T> Kept<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, run: impl FnOnce(&T) -> R) -> R {
        run(&self.0)
    }
}

/// Defines statics: one per guest on wasm32, and one per thread on other targets, where tests run.
macro_rules! kept {
    ($($(#[$doc:meta])* $visibility:vis static $name:ident: $type:ty = $value:expr;)*) => {
        $(
            #[cfg(target_arch = "wasm32")]
            $(#[$doc])*
            $visibility static $name: $crate::imports::Kept<$type> = $crate::imports::Kept::new($value);
        )*
        #[cfg(not(target_arch = "wasm32"))]
        std::thread_local! {
            $($(#[$doc])* $visibility static $name: $type = const { $value };)*
        }
    };
}
pub(crate) use kept;

#[cfg(target_arch = "wasm32")]
pub(crate) use host::{guest_error, guest_response, host_answer, host_call, log};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::{guest_error, guest_response, host_answer, host_call, log};

/// The names in a host call.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) binding: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) operation: &'a str,
}

#[cfg(target_arch = "wasm32")]
mod host {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::Target;
    use crate::state::AREA;

    #[link(wasm_import_module = "wapc")]
    unsafe extern "C" {
        pub(super) fn __guest_request(name: *mut u8, payload: *mut u8);
        fn __guest_response(bytes: *const u8, length: usize);
        fn __guest_error(text: *const u8, length: usize);
        fn __console_log(text: *const u8, length: usize);
        fn __host_call(
            binding: *const u8,
            binding_length: usize,
            namespace: *const u8,
            namespace_length: usize,
            operation: *const u8,
            operation_length: usize,
            payload: *const u8,
            payload_length: usize,
        ) -> usize;
        safe fn __host_response_len() -> usize;
        fn __host_response(bytes: *mut u8);
        safe fn __host_error_len() -> usize;
        fn __host_error(text: *mut u8);
    }

    /// What the host calls. Lengths are in bytes. Returns 1 after an answer, 0 after an error.
    #[unsafe(no_mangle)]
    extern "C" fn __guest_call(name_length: usize, payload_length: usize) -> u32 {
        AREA.with(|area| area.serve(name_length, payload_length)).into()
    }

    /// Runs the constructors of C code. The host calls it once, before anything else.
    ///
    /// Without this export, the linker takes the module for a program, and makes every call of an
    /// export end with the code that ends a program.
    #[cfg(target_os = "wasi")]
    #[unsafe(no_mangle)]
    extern "C" fn _initialize() {
        unsafe extern "C" {
            fn __wasm_call_ctors();
        }
        // SAFETY: the linker defines it from the module's constructors; nothing else calls it.
        unsafe { __wasm_call_ctors() }
    }

    /// Sends an answer to the host.
    #[inline(always)]
    pub(crate) fn guest_response(bytes: &[u8]) {
        // SAFETY: the host reads the slice before it returns.
        unsafe { __guest_response(bytes.as_ptr(), bytes.len()) }
    }

    /// Sends an error to the host.
    pub(crate) fn guest_error(text: &[u8]) {
        // SAFETY: the host reads the slice before it returns.
        unsafe { __guest_error(text.as_ptr(), text.len()) }
    }

    /// Writes a line to the host's log.
    pub(crate) fn log(text: &[u8]) {
        // SAFETY: the host reads the slice before it returns.
        unsafe { __console_log(text.as_ptr(), text.len()) }
    }

    /// Calls the host. Returns whether it answered; [`host_answer`] then has the answer or error.
    pub(crate) fn host_call(target: Target<'_>, payload: &[u8]) -> bool {
        let Target { binding, namespace, operation } = target;
        // SAFETY: the host reads the slices before it returns.
        let answered = unsafe {
            __host_call(
                binding.as_ptr(),
                binding.len(),
                namespace.as_ptr(),
                namespace.len(),
                operation.as_ptr(),
                operation.len(),
                payload.as_ptr(),
                payload.len(),
            )
        };
        answered == 1
    }

    /// Returns the host's answer to the last call, or its error.
    pub(crate) fn host_answer(answered: bool) -> Vec<u8> {
        // Zeroed, so that a host that writes less than it announced leaves no uninitialised memory.
        if answered {
            let mut bytes = vec![0; __host_response_len()];
            // SAFETY: the host writes as many bytes as it has just said.
            unsafe { __host_response(bytes.as_mut_ptr()) }
            bytes
        } else {
            let mut text = vec![0; __host_error_len()];
            // SAFETY: the host writes as many bytes as it has just said.
            unsafe { __host_error(text.as_mut_ptr()) }
            text
        }
    }
}
