//! The stacks of guests: how large they are, and how much of them is left for the host.

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Limits, default_limits};
use wasmtime::{Config, Engine, InstanceAllocationStrategy};

use super::Clocked;

/// The room, in bytes, that host functions and handlers have at the end of a guest's stack.
pub(crate) const HOST: usize = 512 << 10;

/// The room, in bytes, that they have on the stack of a guest that can suspend. It is what Wasmtime
/// leaves there by default.
const HOST_ON_FIBER: usize = 1536 << 10;

/// A size of the stack of a guest that can suspend, in bytes, that no caller sets.
const UNSET: usize = usize::MAX / 2;

/// Notes that the size of a guest's stack that can suspend is not known yet. Called before the
/// caller's settings.
pub(super) fn leave_unset(config: &mut Config) {
    config.async_stack_size(UNSET);
}

/// Sets the sizes of stacks, after the caller's settings, if there are any: the guest's to this
/// limit in bytes, if there is one. Each kind of stack has room for the guest and for the host.
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported): the settings leave too little room.
pub(super) fn fit(
    config: &mut Config,
    limit: Option<u64>,
    is_configured: bool,
) -> Result<(), crate::errors::Error> {
    if let Some(limit) = limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        config.max_wasm_stack(limit);
        if !is_configured {
            config.async_stack_size(limit.saturating_add(HOST_ON_FIBER));
        }
    }
    if !is_configured {
        return Ok(());
    }
    // Only an engine tells what was set. This one makes no stacks, and no pool of them.
    let mut probe = config.clone();
    probe.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    let probe = Engine::new(&probe)?;
    let (guest, whole) = (probe.get_max_wasm_stack(), probe.get_async_stack_size());
    if whole == UNSET {
        config.async_stack_size(guest.saturating_add(HOST_ON_FIBER));
        return Ok(());
    }
    Ok(has_room_for_host(&probe)?)
}

/// Refuses an engine on whose suspendable stacks a guest leaves too little room for the host.
pub(super) fn has_room_for_host(engine: &Engine) -> Result<(), Error> {
    let (guest, whole) = (engine.get_max_wasm_stack(), engine.get_async_stack_size());
    let left = whole.saturating_sub(guest);
    if left >= HOST {
        return Ok(());
    }
    let what = format!(
        "an `async_stack_size` of {whole} bytes leaves {left} bytes for the host beside a `max_wasm_stack` of {guest} \
         bytes: set it to at least {} bytes",
        guest.saturating_add(HOST)
    );
    Err(Error::new(ErrorKind::Unsupported, what))
}

impl Clocked {
    /// Returns the stack of its guests in bytes.
    pub(crate) fn stack(&self) -> usize {
        self.engine.get_max_wasm_stack()
    }

    /// Refuses a limit of the stack that is not that of the engine. The stack is fixed when the
    /// engine is made, so a limit that comes later is refused instead of ignored.
    pub(crate) fn check_stack(&self, limits: &Limits) -> Result<(), Error> {
        let stack = u64::try_from(self.stack()).unwrap_or(u64::MAX);
        // The process's default gives way to an engine that was set up otherwise.
        let differs = |limit: &u64| *limit != stack && default_limits().stack != Some(*limit);
        let Some(limit) = limits.stack.filter(differs) else { return Ok(()) };
        let what = format!(
            "a limit `stack` of {limit} bytes for an engine whose guests have {stack} bytes: set it on the builder of the \
             provider, or `Config::max_wasm_stack` on an engine of your own"
        );
        Err(Error::new(ErrorKind::Unsupported, what))
    }

    /// Refuses an engine of the caller whose suspendable stacks have too little room for the host.
    pub(crate) fn check_fiber(&self) -> Result<(), Error> {
        has_room_for_host(&self.engine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config;

    type Configure = fn(&mut Config);

    fn fitted(configure: Configure, limits: Limits) -> Result<[usize; 2], Error> {
        let mut config = config(None);
        leave_unset(&mut config);
        configure(&mut config);
        fit(&mut config, limits.stack, true)?;
        let engine = Engine::new(&config).unwrap();
        Ok([engine.get_max_wasm_stack(), engine.get_async_stack_size()])
    }

    #[test]
    fn a_suspendable_stack_is_larger_than_the_guests_by_the_room_of_the_host() {
        let none: Configure = |_| {};
        assert_eq!(fitted(none, Limits::new()).unwrap(), [512 << 10, 2 << 20]);
        let mut plain = config(None);
        fit(&mut plain, Some(4 << 20), false).unwrap();
        assert_eq!(Engine::new(&plain).unwrap().get_async_stack_size(), (4 << 20) + HOST_ON_FIBER);
        assert_eq!(fitted(none, Limits::new().stack(8 << 20)).unwrap(), [8 << 20, (8 << 20) + HOST_ON_FIBER]);
        let deep: Configure = |config| {
            config.max_wasm_stack(3 << 20);
        };
        assert_eq!(fitted(deep, Limits::new()).unwrap(), [3 << 20, (3 << 20) + HOST_ON_FIBER]);
        // The limit is the later word.
        assert_eq!(fitted(deep, Limits::new().stack(1 << 20)).unwrap()[0], 1 << 20);
        let own: Configure = |config| {
            config.max_wasm_stack(3 << 20).async_stack_size(5 << 20);
        };
        assert_eq!(fitted(own, Limits::new()).unwrap(), [3 << 20, 5 << 20]);
    }

    #[test]
    fn a_suspendable_stack_without_room_for_the_host_is_refused() {
        let tight: Configure = |config| {
            config.max_wasm_stack(2 << 20).async_stack_size(2 << 20);
        };
        let error = fitted(tight, Limits::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("set it to at least 2621440 bytes"), "{error}");
    }
}
