//! The smallest guest: one operation, no standard library, and panics that trap without a word.

#![no_std]

use antiphon_guest::{operation, operations};

/// The allocator that the standard library has on wasm32.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Ends the instance. `antiphon_guest::panic_handler!` would tell the host why, for six kilobytes more.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Answers the payload.
#[operation]
fn echo(payload: &[u8]) -> &[u8] {
    payload
}

operations![echo];
