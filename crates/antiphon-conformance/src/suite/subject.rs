//! The provider under test, in one mode.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::{BoxError, Error, ErrorKind};
use antiphon::{Capabilities, EngineProviderFactory, Isolation, Limits, WapcHost, WapcHostAsync};

use super::{Guest, Host, Mode, Module};
use crate::support::{Failure, runtime};

/// Builds a provider's factory for a module.
pub(crate) type Provider = dyn Fn(&Module) -> Result<Arc<dyn EngineProviderFactory>, BoxError> + Send + Sync;

/// The provider under test, in one mode.
#[derive(Clone)]
pub struct Subject {
    provider: Arc<Provider>,
    mode: Mode,
    guests: Option<PathBuf>,
    isolation: Isolation,
}

impl Subject {
    pub(crate) fn new(provider: Arc<Provider>, mode: Mode, guests: Option<PathBuf>) -> Self {
        Self { provider, mode, guests, isolation: Isolation::Reuse }
    }

    /// Isolates every guest at least this much.
    pub(crate) fn isolated(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Returns the count that an instance reports to the last of `calls` calls.
    pub(crate) fn count_after(&self, calls: i32) -> i32 {
        if self.isolation == Isolation::PerCall { 1 } else { calls }
    }

    /// Returns how much every guest is isolated at least.
    pub(crate) fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Returns the mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns what the engine declares. It asks the factory of the smallest guest, and one more
    /// for each option that an engine may have to be built with.
    ///
    /// # Errors
    /// The provider refuses the smallest guest, or refuses an option with another kind than
    /// `Unsupported`.
    pub fn capabilities(&self) -> Result<Capabilities, Error> {
        let mut declared = self.smallest()?.capabilities();
        declared.fuel = self.optional(&smallest().limits(Limits::new().fuel(1_000_000)))?.fuel;
        declared.deterministic = self.optional(&smallest().deterministic(0, Duration::ZERO))?.deterministic;
        Ok(declared)
    }

    /// Returns the capabilities of a guest with an option that the engine may lack.
    fn optional(&self, guest: &Guest) -> Result<Capabilities, Error> {
        match self.factory(guest) {
            Ok(factory) => Ok(factory.capabilities()),
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Capabilities::none()),
            Err(error) => Err(error),
        }
    }

    /// Returns the provider in another mode.
    pub(crate) fn in_mode(&self, mode: Mode) -> Self {
        Self { mode, ..self.clone() }
    }

    /// Returns why the provider has no host of this mode; `None` if it has one. An engine says so
    /// by refusing to make a provider with `Unsupported`. Any other refusal fails each case.
    pub(crate) fn absent(&self) -> Option<&'static str> {
        let factory = self.smallest().ok()?;
        let (refused, reason) = match self.mode {
            Mode::Sync => (factory.provider().err(), "the engine has no synchronous mode"),
            Mode::Async | Mode::Straight => {
                (factory.provider_async().err(), "the engine has no asynchronous mode")
            }
        };
        let unsupported = |error| Error::from_engine(error).kind() == ErrorKind::Unsupported;
        refused.is_some_and(unsupported).then_some(reason)
    }

    fn smallest(&self) -> Result<Arc<dyn EngineProviderFactory>, Error> {
        self.factory(&smallest())
    }

    /// Reads a built guest of Antiphon's repository.
    pub(crate) fn built_guest(&self, name: &str) -> Vec<u8> {
        let dir = self.guests.as_ref().expect("the case is skipped where the guests are not there");
        std::fs::read(dir.join(name)).expect("a readable guest")
    }

    pub(crate) fn factory(&self, guest: &Guest) -> Result<Arc<dyn EngineProviderFactory>, Error> {
        let mut module = guest.module.clone();
        module.cooperative = self.mode != Mode::Straight;
        module.isolation = module.isolation.stricter(self.isolation);
        (self.provider)(&module).map_err(Error::from_engine)
    }

    /// Starts a guest that must start.
    #[track_caller]
    pub(crate) fn host(&self, guest: Guest) -> Host {
        match self.start(guest) {
            Ok(host) => host,
            Err(error) => panic!("the guest does not start: {error:#?}"),
        }
    }

    /// Starts a guest that must not start.
    #[track_caller]
    pub(crate) fn refuses(&self, guest: Guest, expected: Failure) -> Error {
        match self.start(guest) {
            Ok(_) => panic!("the guest started, expected {expected:?}"),
            Err(error) => {
                expected.check(&error);
                error
            }
        }
    }

    pub(crate) fn start(&self, guest: Guest) -> Result<Host, Error> {
        let factory = self.factory(&guest)?;
        self.start_on(&*factory, guest)
    }

    /// Starts an instance of a factory, with the guest's options for its host.
    pub(crate) fn start_on(&self, factory: &dyn EngineProviderFactory, guest: Guest) -> Result<Host, Error> {
        match self.mode {
            Mode::Sync => Ok(Host::Sync(Arc::new(self.start_sync(factory, guest)?))),
            Mode::Async | Mode::Straight => {
                let host = runtime().block_on(self.start_async_on(factory, guest))?;
                Ok(Host::Async(Arc::new(host)))
            }
        }
    }

    /// Starts an instance without blocking on a runtime: on the caller's thread, or in its task.
    pub(crate) async fn start_later(
        &self,
        factory: &dyn EngineProviderFactory,
        guest: Guest,
    ) -> Result<Host, Error> {
        match self.mode {
            Mode::Sync => Ok(Host::Sync(Arc::new(self.start_sync(factory, guest)?))),
            Mode::Async | Mode::Straight => {
                Ok(Host::Async(Arc::new(self.start_async_on(factory, guest).await?)))
            }
        }
    }

    fn start_sync(&self, factory: &dyn EngineProviderFactory, guest: Guest) -> Result<WapcHost, Error> {
        let provider = factory.provider().map_err(Error::from_engine)?;
        let mut builder = WapcHost::builder(provider)
            .limits(guest.limits_of_host(&factory.capabilities()))
            .isolation(guest.isolation_of_host().stricter(self.isolation))
            .host_calls_in_init(guest.host_calls_in_init);
        if let Some(log) = guest.log {
            builder = builder.log(move |line| log.push(line));
        }
        if let Some(handle) = guest.stop {
            builder = builder.stop(handle);
        }
        if let Some(handler) = guest.handler {
            builder = builder.handler(handler);
        }
        if let Some(router) = guest.router {
            builder = builder.handler(router);
        }
        builder.build()
    }

    /// Starts an asynchronous host on the current runtime.
    pub(crate) async fn start_async(&self, guest: Guest) -> Result<WapcHostAsync, Error> {
        let factory = self.factory(&guest)?;
        self.start_async_on(&*factory, guest).await
    }

    async fn start_async_on(
        &self,
        factory: &dyn EngineProviderFactory,
        guest: Guest,
    ) -> Result<WapcHostAsync, Error> {
        let provider = factory.provider_async().map_err(Error::from_engine)?;
        let mut builder = WapcHostAsync::builder(provider)
            .limits(guest.limits_of_host(&factory.capabilities()))
            .isolation(guest.isolation_of_host().stricter(self.isolation))
            .host_calls_in_init(guest.host_calls_in_init);
        if let Some(log) = guest.log {
            builder = builder.log(move |line| log.push(line));
        }
        if let Some(handle) = guest.stop {
            builder = builder.stop(handle);
        }
        match guest.handler {
            Some(handler) if handler.at_once && self.mode == Mode::Straight => {
                builder = builder.handler_sync(handler);
            }
            Some(handler) => builder = builder.handler(handler),
            None => {}
        }
        if let Some(router) = guest.router {
            builder = builder.handler(router);
        }
        builder.build().await
    }
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Returns the smallest guest.
fn smallest() -> Guest {
    Guest::new("(func $run (param i32 i32) (result i32) (i32.const 1))")
}

/// Finds the built guests of Antiphon's repository from the manifest folder of one of its crates;
/// `None` elsewhere, where the cases that run them are skipped.
#[must_use]
pub fn guests_dir(manifest_dir: &Path) -> Option<PathBuf> {
    let dir = manifest_dir.join("../../guests/built");
    dir.join("manifest.toml").is_file().then_some(dir)
}
