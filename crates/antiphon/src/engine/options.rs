//! The options that all engines have in common, and the methods of builders that set them.
//!
//! An option is written once: `EngineOptions` has its field, its default and its setter.
//! `builder_methods!` gives the builder of each engine the same setters, and `build`, `build_async`
//! and `factory` over a `compile` of its own. It is a macro because a generic builder could have no
//! methods of one engine, which users of `wasmtime-provider` call. An engine refuses what it lacks
//! when it compiles.

use std::time::Duration;

use antiphon_protocol::Limits;

// Links in the docs of `option_setters` have to resolve wherever it is expanded.
#[cfg(doc)]
extern crate self as antiphon;

use super::{Capabilities, GuestDir, WasiParams};
use crate::call::Isolation;
use crate::errors::{Error, ErrorKind, Result};
use crate::host::default_limits;

/// The options that all engines have in common.
///
/// One set serves any number of modules and engines. An engine that lacks something refuses the
/// option as [`ErrorKind::Unsupported`](crate::errors::ErrorKind::Unsupported) when it compiles a
/// module, and never ignores it.
///
/// ```
/// use antiphon::{EngineOptions, Limits};
///
/// let options = EngineOptions::new().limits(Limits::new().memory(8 << 20)).wasi(false);
/// assert_eq!(options.limits.memory_or_default(), 8 << 20);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use]
pub struct EngineOptions {
    /// Limits of the guest.
    pub limits: Limits,
    /// Whether modules that import WASI are served at all.
    pub wasi: bool,
    /// What a guest that speaks WASI is granted, except for [`dirs`](Self::dirs).
    pub wasi_params: WasiParams,
    /// Directories for the guest. An engine reads [`granted_dirs`](Self::granted_dirs), which adds
    /// those of `wasi_params`.
    pub dirs: Vec<GuestDir>,
    /// Whether an asynchronous guest gives way to its executor at each tick.
    pub cooperative: bool,
    /// Whether calls share an instance.
    pub isolation: Isolation,
    /// The seed of all random bytes and the time that the clock shows, where all runs are to be
    /// equal.
    pub deterministic: Option<(u64, Duration)>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            limits: Limits::new(),
            wasi: true,
            wasi_params: WasiParams::default(),
            dirs: Vec::new(),
            cooperative: true,
            isolation: Isolation::Reuse,
            deterministic: None,
        }
    }
}

/// The methods that set [`EngineOptions`]. They are also those of the builders of providers, which
/// set their field of the given name: see [`builder_methods`](crate::builder_methods).
#[doc(hidden)]
#[macro_export]
macro_rules! option_setters {
    ($(in $field:ident)?) => {
        /// Sets limits of the guest. Where the host sets one too, the stricter holds.
        pub fn limits(mut self, limits: $crate::Limits) -> Self {
            self$(.$field)?.limits = limits;
            self
        }

        /// Sets whether modules that import WASI are served at all. They are by default: the sealed
        /// world grants only clock and random.
        pub fn wasi(mut self, wasi: bool) -> Self {
            self$(.$field)?.wasi = wasi;
            self
        }

        /// Sets arguments and environment for the guest. Its directories, the names of `wapc` 2.x
        /// for [`dir`](Self::dir), are granted together with those of that method.
        pub fn wasi_params(mut self, wasi: $crate::WasiParams) -> Self {
            self$(.$field)?.wasi_params = wasi;
            self
        }

        /// Grants a directory of the host, which the guest sees under the path `guest`. It may read
        /// and write there. Only regular files and directories can be opened: a pipe or a device
        /// could hold the guest up. Nothing leads out of the directory, neither `..` nor a link.
        ///
        /// The directory is opened when a guest starts; the start fails as
        /// [`Unsupported`](antiphon::errors::ErrorKind::Unsupported) if that is not possible. On
        /// Wasmtime directories need the feature `wasi`, which is on by default.
        ///
        /// The work on files is done on the calling thread, in either mode. An asynchronous guest
        /// that reads a file holds its executor's thread until the system has answered:
        /// microseconds if the file is in the system's cache, milliseconds from a disk or for a
        /// `sync`, and without a bound from a network. No deadline cuts such a wait short; it is
        /// checked before and after. Where that matters, run calls of guests with slow directories
        /// on threads of their own, for example with `spawn_blocking` and a synchronous host.
        pub fn dir(
            mut self,
            host: impl Into<::std::path::PathBuf>,
            guest: impl Into<String>,
        ) -> Self {
            self$(.$field)?.dirs.push($crate::GuestDir::writable(host, guest));
            self
        }

        /// Grants a directory as [`dir`](Self::dir) does, but the guest may only read there.
        pub fn read_only_dir(
            mut self,
            host: impl Into<::std::path::PathBuf>,
            guest: impl Into<String>,
        ) -> Self {
            self$(.$field)?.dirs.push($crate::GuestDir::read_only(host, guest));
            self
        }

        /// Sets whether an asynchronous guest gives way to its executor at each tick, which is on
        /// by default. Off is faster for short calls of trusted guests: a guest that cannot wait
        /// then runs straight to its end on its executor's thread.
        pub fn cooperative(mut self, cooperative: bool) -> Self {
            self$(.$field)?.cooperative = cooperative;
            self
        }

        /// Sets whether calls share an instance. With [`PerCall`](antiphon::Isolation::PerCall)
        /// each call gets an instance of its own, and the engine prepares for that. Hosts of this
        /// provider then isolate their calls without being told.
        pub fn isolation(mut self, isolation: $crate::Isolation) -> Self {
            self$(.$field)?.isolation = isolation;
            self
        }

        /// Makes each run of a guest equal to every other: the same calls get the same answers and
        /// burn the same fuel.
        ///
        /// WASI's random bytes come from `seed`. Its clock shows `clock`, a time since the Unix
        /// epoch, in every instance from its start and on every engine; waits end at once and move
        /// the clock. NaNs that the guest computes are canonical. Relaxed SIMD and threads are off,
        /// whatever the engine's own configuration.
        ///
        /// Fuel is counted, and it is what ends a guest. Where neither the host nor these limits
        /// set it, it is [`DETERMINISTIC_FUEL`](antiphon::Limits::DETERMINISTIC_FUEL) for a call
        /// and for a start. The default deadlines do not apply. A deadline that is set, or a
        /// cancelled call, makes a run depend on its machine again. So do the host's handlers,
        /// unless they answer alike each time.
        ///
        /// The fuel is that of one version of one engine: another one may burn more or less for the
        /// same answer. Where a guest overflows its stack may depend on the machine.
        ///
        /// Options that would break this are
        /// [`Unsupported`](antiphon::errors::ErrorKind::Unsupported) together with it: directories,
        /// an engine or a module of the caller's, deadlines in epoch ticks.
        pub fn deterministic(mut self, seed: u64, clock: ::std::time::Duration) -> Self {
            self$(.$field)?.deterministic = Some((seed, clock));
            self
        }
    };
}

impl EngineOptions {
    /// Creates the defaults: safe limits, the sealed WASI world for guests that import it, and
    /// nothing granted.
    pub fn new() -> Self {
        Self::default()
    }

    option_setters!();

    /// Returns whether the guest is to have a directory of the host.
    #[must_use]
    pub fn grants_directories(&self) -> bool {
        self.granted_dirs().next().is_some()
    }

    /// Returns all directories that the guest is to have: those of
    /// [`wasi_params`](Self::wasi_params), and then [`dirs`](Self::dirs).
    pub fn granted_dirs(&self) -> impl Iterator<Item = GuestDir> + '_ {
        self.wasi_params.dirs().chain(self.dirs.iter().cloned())
    }

    /// Returns the limits that a provider with these options reports to its host.
    ///
    /// In the deterministic mode the default deadlines do not apply: a default deadline would end
    /// the same call on one machine and not on another.
    #[must_use]
    pub fn provider_limits(&self) -> Limits {
        match self.deterministic {
            Some(_) => self.limits.without_default_deadlines(),
            None => self.limits,
        }
    }

    /// Returns the fuel of each call and of a start, for an engine that counts it. `limits` are
    /// those that the host has merged.
    ///
    /// A start has one limit for all of its functions, because fuel says how much work a guest may
    /// cause. The default of the deterministic mode is not among
    /// [`provider_limits`](Self::provider_limits), where the stricter limit wins. So a provider or
    /// host that sets more fuel gets more.
    #[must_use]
    pub fn fuel(&self, limits: &Limits) -> u64 {
        let default = self.deterministic.map_or(u64::MAX, |_| Limits::DETERMINISTIC_FUEL);
        limits.fuel.unwrap_or(default)
    }

    /// The largest stack of a guest, in bytes: 1 GiB.
    pub const LARGEST_STACK: u64 = 1 << 30;

    /// Returns the limit of the stack, if one is set.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported): no engine has such a stack.
    pub fn stack(&self) -> Result<Option<u64>> {
        match self.limits.or(default_limits()).stack {
            Some(limit) if !(1..=Self::LARGEST_STACK).contains(&limit) => {
                let largest = Self::LARGEST_STACK;
                let what =
                    format!("a limit `stack` of {limit} bytes: it has to be from 1 to {largest} bytes");
                Err(Error::new(ErrorKind::Unsupported, what))
            }
            limit => Ok(limit),
        }
    }

    /// Returns what an engine that lacks none of these options can do because of them. The engine
    /// adds the rest.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::none();
        capabilities.deterministic = self.deterministic.is_some();
        capabilities.wasi = self.wasi;
        capabilities
    }
}

/// The methods that the builders of all providers have in common, to be expanded in the `impl` of a
/// builder: `new` and `module_bytes`, a setter for each of [`EngineOptions`] and `options` for all
/// of them, `build`, `build_async` and `factory`.
///
/// The builder is [`Default`], has the fields `module_bytes: Option<&'a [u8]>` and `options:
/// EngineOptions`, and a method `compile(&self) -> Result<Arc<C>, E>`. The macro takes the
/// lifetime, [`C`](crate::provider::Compiled), `E`, and, if the engine has an asynchronous mode,
/// `async` with the attributes of `build_async`:
///
/// ```
/// # use std::sync::Arc;
/// use antiphon::EngineOptions;
/// use antiphon::errors::Error;
/// use antiphon::provider::Compiled;
///
/// # struct Builder<'a, C> { module_bytes: Option<&'a [u8]>, options: EngineOptions, compiled: Option<Arc<C>> }
/// # impl<C> Default for Builder<'_, C> {
/// #     fn default() -> Self { Self { module_bytes: None, options: EngineOptions::new(), compiled: None } }
/// # }
/// impl<'a, C: Compiled> Builder<'a, C> {
///     antiphon::builder_methods!('a, C, Error);
///
///     fn compile(&self) -> Result<Arc<C>, Error> {
///         // ... of `self.module_bytes`, with `self.options`
/// #       Ok(Arc::clone(self.compiled.as_ref().unwrap()))
///     }
/// }
/// ```
#[macro_export]
macro_rules! builder_methods {
    ($module:lifetime, $compiled:ty, $error:ty $(, $(#[$when:meta])* async)?) => {
        /// Creates a builder that still needs a module.
        #[must_use]
        pub fn new() -> Self {
            Self::default()
        }

        /// Sets the module, in the binary or the text format.
        #[must_use]
        pub fn module_bytes(mut self, module_bytes: &$module [u8]) -> Self {
            self.module_bytes = Some(module_bytes);
            self
        }

        /// Sets all options that engines have in common, at once.
        #[must_use]
        pub fn options(mut self, options: $crate::EngineOptions) -> Self {
            self.options = options;
            self
        }

        $crate::option_setters!(in options);

        /// Builds a provider for a [`WapcHost`](antiphon::WapcHost).
        ///
        /// # Errors
        /// The module is refused, or the builder's settings do not go together.
        pub fn build(&self) -> Result<$crate::provider::Provider<$compiled>, $error> {
            Ok($crate::provider::Provider::new(self.compile()?))
        }

        $(
            /// Builds a provider for a [`WapcHostAsync`](antiphon::WapcHostAsync).
            ///
            /// # Errors
            /// Those of [`build`](Self::build).
            $(#[$when])*
            pub fn build_async(&self) -> Result<$crate::provider::ProviderAsync<$compiled>, $error> {
                Ok($crate::provider::ProviderAsync::new(self.compile()?))
            }
        )?

        /// Compiles the module into a factory of providers for both modes.
        ///
        /// # Errors
        /// Those of [`build`](Self::build).
        pub fn factory(&self) -> Result<::std::sync::Arc<dyn $crate::EngineProviderFactory>, $error> {
            Ok(::std::sync::Arc::new($crate::provider::Factory(self.compile()?)))
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_that_no_engine_has_is_refused_and_named() {
        let stack = |limit| EngineOptions::new().limits(Limits::new().stack(limit)).stack();
        assert_eq!(EngineOptions::new().stack().unwrap(), None);
        for fits in [1, 512 << 10, EngineOptions::LARGEST_STACK] {
            assert_eq!(stack(fits).unwrap(), Some(fits));
        }
        for wrong in [0, EngineOptions::LARGEST_STACK + 1, u64::MAX] {
            let error = stack(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().starts_with(&format!("a limit `stack` of {wrong} bytes")));
        }
    }

    #[test]
    fn directories_of_every_name_are_granted() {
        assert!(!EngineOptions::new().grants_directories());
        let mapped = WasiParams { map_dirs: vec![("/m".into(), "/tmp/m".into())], ..WasiParams::default() };
        let opened = WasiParams { preopened_dirs: vec!["/tmp/o".into()], ..WasiParams::default() };
        let both = WasiParams { preopened_dirs: vec!["/tmp/o".into()], ..mapped.clone() };
        let new = EngineOptions::new;
        let options = [
            new().wasi_params(mapped),
            new().wasi_params(opened),
            new().dir("/tmp/d", "/d"),
            new().read_only_dir("/tmp/r", "/r"),
        ];
        assert!(options.iter().all(EngineOptions::grants_directories));

        // The parameters of `wapc` 2.x leave the others in place.
        let all =
            new().dir("/tmp/d", "/d").read_only_dir(std::path::Path::new("/tmp/r"), "/r").wasi_params(both);
        let granted = [
            GuestDir::writable("/tmp/o", "/tmp/o"),
            GuestDir::writable("/tmp/m", "/m"),
            GuestDir::writable("/tmp/d", "/d"),
            GuestDir::read_only("/tmp/r", "/r"),
        ];
        assert_eq!(all.granted_dirs().collect::<Vec<_>>(), granted);
    }

    #[test]
    fn fuel_takes_the_place_of_default_deadlines_where_runs_are_deterministic() {
        let second = Duration::from_secs(1);
        let options = EngineOptions::new().limits(Limits::new().init_deadline(second));
        assert_eq!(options.provider_limits(), options.limits);
        assert_eq!(options.fuel(&Limits::new()), u64::MAX);
        assert_eq!(options.fuel(&Limits::new().fuel(7)), 7);
        assert!(!options.capabilities().deterministic);

        let options = options.deterministic(1, Duration::ZERO);
        let limits = options.provider_limits();
        assert_eq!(
            (limits.deadline_or_default(), limits.init_deadline_or_default()),
            (Duration::MAX, second)
        );
        assert_eq!(options.fuel(&Limits::new()), Limits::DETERMINISTIC_FUEL);
        assert_eq!(options.fuel(&Limits::new().fuel(u64::MAX)), u64::MAX);
        assert!(options.capabilities().deterministic);
    }
}
