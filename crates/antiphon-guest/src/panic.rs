//! Reports a panic's message and location to the host before the guest traps.

use core::fmt::Display;

use alloc::format;

use crate::imports::guest_error;

/// Installs the panic hook if the standard library is available.
///
/// Only in guests: on other targets, tests have their own hook.
pub(crate) fn install_hook() {
    #[cfg(all(feature = "std", target_arch = "wasm32"))]
    {
        use core::cell::Cell;

        use crate::imports::kept;

        kept! {
            static IS_INSTALLED: Cell<bool> = Cell::new(false);
        }
        if !IS_INSTALLED.with(|installed| installed.replace(true)) {
            std::panic::set_hook(alloc::boxed::Box::new(|info| {
                let message = info.payload_as_str().unwrap_or("a panic without a text");
                match info.location() {
                    Some(place) => report_panic(&message, &place),
                    None => report_panic(&message, &"an unknown place"),
                }
            }));
        }
    }
}

/// Reports a panic to the host.
#[doc(hidden)]
pub fn report_panic(message: &dyn Display, place: &dyn Display) {
    guest_error(format!("{message}, at {place}").as_bytes());
}

/// Defines the panic handler of a `no_std` guest. It sends the message and the location to the
/// host, then traps.
///
/// Such a guest needs a global allocator too.
///
/// ```ignore
/// #![no_std]
/// extern crate alloc;
///
/// antiphon_guest::panic_handler!();
///
/// #[global_allocator]
/// static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
/// ```
#[macro_export]
macro_rules! panic_handler {
    () => {
        #[cfg(target_arch = "wasm32")]
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            match info.location() {
                Some(place) => $crate::report_panic(&info.message(), &place),
                None => $crate::report_panic(&info.message(), &"an unknown place"),
            }
            core::arch::wasm32::unreachable()
        }
    };
}
