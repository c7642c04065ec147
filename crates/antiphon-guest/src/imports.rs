//! waPC's imports, its export, and the memory that they share with the host: all the unsafe code there is.
//!
//! On other targets than wasm32 the host is `testing`, and everything else here is the same.

#![expect(
    unsafe_code,
    reason = "imports are foreign functions, an export is a symbol, and the host writes into our memory"
)]

use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, UnsafeCell};

use crate::dispatch::{serve, serve_at_once};

/// Requests whose operation and payload have fewer bytes than this, each, are read into memory that is always there.
pub(crate) const ROOM: usize = 1024;
/// Where a name begins: its length is in front of it, so that length and first bytes are one number, its key.
const FRONT: usize = 1;
/// Bytes of a key.
const KEY: usize = 8;

/// The memory of one request.
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

    /// The name's key: see `table.rs`.
    #[inline(always)]
    fn key(&self) -> u64 {
        self.name.first_chunk().map_or(0, |key| u64::from_le_bytes(*key))
    }

    /// The operation's name and the payload.
    ///
    /// # Safety
    ///
    /// Both lengths are less than [`ROOM`].
    #[inline(always)]
    unsafe fn request(&self, name_length: usize, payload_length: usize) -> (&[u8], &[u8]) {
        // SAFETY: the caller's promise.
        unsafe {
            (
                self.name.get_unchecked(FRONT..FRONT + name_length),
                self.payload.get_unchecked(..payload_length),
            )
        }
    }
}

/// Where requests are read into: a fixed memory for small ones, a vector that is kept for large ones.
///
/// Each is lent to one request at a time. Should a host call the guest while it waits for a call of its own, the second
/// request gets memory of its own, so that a handler's payload stays what it is.
pub(crate) struct Area {
    /// [`ROOM`] while the memory is free, 0 while it is lent.
    room: Cell<usize>,
    memory: UnsafeCell<Memory>,
    /// Empty while it is lent.
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

    /// Reads the request of which these are the lengths, and has it served. Whether it was answered.
    #[inline(always)]
    pub(crate) fn serve(&self, name_length: usize, payload_length: usize) -> bool {
        // One comparison for both lengths, and for whether the memory is free.
        if (name_length | payload_length) >= self.room.get() {
            return self.serve_large(name_length, payload_length);
        }
        self.room.set(0);
        // SAFETY: `room` was not 0, so that nobody else has borrowed the memory, and it is 0 until this borrow has ended.
        // There is one thread.
        let memory = unsafe { &mut *self.memory.get() };
        memory.key_mut().copy_from_slice(&(name_length as u64).to_le_bytes());
        read_request(&mut memory.name, &mut memory.payload);
        // SAFETY: both lengths are less than `ROOM`: the bits of both together are.
        let (name, payload) = unsafe { memory.request(name_length, payload_length) };
        let answered = match serve_at_once(memory.key(), name, payload) {
            Some(answered) => answered,
            // SAFETY: the memory is lent to this request, both lengths are less than `ROOM`, and what was borrowed of it is
            // used no more.
            None => unsafe { self.serve_lent(name_length, payload_length) },
        };
        self.room.set(ROOM);
        answered
    }

    /// Serves the request that is in the memory, wherever its operation is. It begins anew, so that the common path has
    /// nothing to keep for it.
    ///
    /// # Safety
    ///
    /// The memory is lent to the caller: `room` is 0 until this returns. Both lengths are less than [`ROOM`], and no
    /// reference into the memory is used again.
    #[cold]
    #[inline(never)]
    unsafe fn serve_lent(&self, name_length: usize, payload_length: usize) -> bool {
        // SAFETY: the caller's promise: nobody writes to the memory meanwhile, and both lengths are within it.
        let (name, payload) = unsafe { (*self.memory.get()).request(name_length, payload_length) };
        serve(name, payload)
    }

    /// Serves a request that is large, or comes while the memory is lent.
    #[cold]
    #[inline(never)]
    fn serve_large(&self, name_length: usize, payload_length: usize) -> bool {
        let length = FRONT.saturating_add(name_length).saturating_add(payload_length);
        let mut memory = self.large.take();
        if memory.len() < length {
            // The old one first: both at once may not fit.
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

/// Has the host write the request: the operation's name behind the `FRONT` of `name`, the payload to `payload`.
///
/// Both have room for the lengths that `__guest_call` was called with: the host writes as much.
#[inline(always)]
fn read_request(name: &mut [u8], payload: &mut [u8]) {
    let name = name.get_mut(FRONT..).unwrap_or_default();
    #[cfg(target_arch = "wasm32")]
    // SAFETY: the host writes as many bytes as it said in the call of `__guest_call` that is being served, and both
    // slices have at least as many.
    unsafe {
        host::__guest_request(name.as_mut_ptr(), payload.as_mut_ptr());
    }
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::guest_request(name, payload);
}

/// A value that an instance keeps, in a guest of one thread.
#[cfg(target_arch = "wasm32")]
pub(crate) struct Kept<T>(T);

// SAFETY: the crate does not compile for wasm32 with atomics, so that there is one thread.
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

/// Statics: one of each in a guest, one of each for every thread elsewhere, where tests run.
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

/// The names of a call of the host.
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

    /// What the host calls. Both lengths are in bytes; 1 means that there is an answer, 0 that there is an error.
    #[unsafe(no_mangle)]
    extern "C" fn __guest_call(name_length: usize, payload_length: usize) -> u32 {
        AREA.with(|area| area.serve(name_length, payload_length)).into()
    }

    /// Starts what C would start. The host calls it once, before anything else.
    ///
    /// A module without it is taken for a program: the linker has every call of an export end it, with what runs at a
    /// program's end.
    #[cfg(target_os = "wasi")]
    #[unsafe(no_mangle)]
    extern "C" fn _initialize() {
        unsafe extern "C" {
            fn __wasm_call_ctors();
        }
        // SAFETY: the linker makes it, of the constructors that are in the module, and nobody else calls it.
        unsafe { __wasm_call_ctors() }
    }

    /// Hands over an answer.
    #[inline(always)]
    pub(crate) fn guest_response(bytes: &[u8]) {
        // SAFETY: the host reads the slice before it returns.
        unsafe { __guest_response(bytes.as_ptr(), bytes.len()) }
    }

    /// Hands over an error.
    pub(crate) fn guest_error(text: &[u8]) {
        // SAFETY: the host reads the slice before it returns.
        unsafe { __guest_error(text.as_ptr(), text.len()) }
    }

    /// Writes a line to the host's log.
    pub(crate) fn log(text: &[u8]) {
        // SAFETY: the host reads the slice before it returns.
        unsafe { __console_log(text.as_ptr(), text.len()) }
    }

    /// Calls the host. Whether it answered; what it answered, well or ill, is then to be had from [`host_answer`].
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

    /// What the host answered to the last call, or its error.
    pub(crate) fn host_answer(answered: bool) -> Vec<u8> {
        // Zeroed: a host that writes less than it said leaves no memory to be read that nobody wrote.
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
