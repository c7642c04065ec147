//! The seam: the traits that an engine implements to run waPC guests.
//!
//! `wapc` 2.x had three methods on a provider, and they stay: a provider written for it ports by
//! changing the crate's name, and a test keeps such a provider. Going through the module state
//! costs four locks a call. So a provider may implement `converse` and take the whole conversation
//! instead. A `None` from it costs one call through a table.

mod discard;
#[cfg(feature = "async")]
mod engine_async;
mod link_imports;
mod options;
pub mod provider;
#[cfg(feature = "async")]
mod provider_async;
pub(crate) mod wapc2;
mod wasi;

#[cfg(feature = "async")]
pub use engine_async::WebAssemblyEngineProviderAsync;
pub use options::EngineOptions;
pub use wasi::{GuestDir, WasiParams};

use std::sync::Arc;

use antiphon_protocol::Limits;

use self::wapc2::ModuleState;
use crate::call::Isolation;
use crate::conversation::Conversation;
use crate::errors::BoxError;
use crate::module::info::ModuleInfo;

/// An engine that runs one instance of a guest, synchronously.
///
/// The three required methods have the shape that `wapc` 2.x gave them, so a provider written for
/// it needs nothing else. The provided methods are for providers that know more of the host; a host
/// tries them first.
///
/// The guide [how to write a
/// provider](https://github.com/antiphon-wasm/antiphon/blob/main/docs/writing-a-provider.md) builds
/// one step by step. The crate `antiphon-conformance` tells when it is done.
///
/// A typed [`Error`](crate::errors::Error) in the box of a result reaches the caller with its kind.
/// Any other error becomes [`ErrorKind::Engine`](crate::errors::ErrorKind::Engine), with the error
/// as its source.
pub trait WebAssemblyEngineProvider {
    /// Builds a fresh store and instance, and runs its init exports. The host calls it before the
    /// first call, and again to replace an instance that it discarded.
    ///
    /// # Errors
    /// The guest cannot be started. The host drops the provider, or tries again at the next call.
    fn init(&mut self, host: Arc<ModuleState>) -> Result<(), BoxError>;

    /// Runs `__guest_call` with the lengths of the operation and of the payload, in bytes, and
    /// returns what it returned. When it returns, the guest's response or error has been set on the
    /// state.
    ///
    /// # Errors
    /// The guest call did not return: a trap, a deadline, a spent budget. The host discards the
    /// instance.
    fn call(&mut self, op_length: i32, msg_length: i32) -> Result<i32, BoxError>;

    /// Replaces the module by another, atomically: after an error the old one still serves.
    ///
    /// # Errors
    /// The module is refused, or the engine cannot replace modules.
    fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError>;

    /// Runs a guest call in a conversation. The engine may move the conversation into its store,
    /// and moves it back before it returns. `None` sends the host to [`call`](Self::call) and must
    /// cost nothing.
    ///
    /// The guest has to run on this very thread: what its caller lends to the call, such as a large
    /// payload, is in a thread-local.
    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        let _ = conversation;
        None
    }

    /// Returns the limits that the provider was built with. The host merges them with its own, the
    /// stricter of each pair, and hands the result back in the state.
    fn limits(&self) -> Limits {
        Limits::new()
    }

    /// Returns whether the provider was made for calls that share an instance. Its host isolates
    /// the calls at least as much.
    fn isolation(&self) -> Isolation {
        Isolation::Reuse
    }

    /// Drops the instance with its memory. The host calls [`init`](Self::init) before it calls the
    /// guest again.
    fn discard(&mut self) {}

    /// Returns the factory that this provider came from. With it the host compiles a replacement
    /// beside the running calls.
    fn factory(&self) -> Option<Arc<dyn EngineProviderFactory>> {
        None
    }
}

/// One compiled module with the settings of its engine. It makes any number of providers, each for
/// an instance of its own.
pub trait EngineProviderFactory: Send + Sync {
    /// Returns what the engine can do.
    fn capabilities(&self) -> Capabilities;

    /// Returns what the module says about itself.
    fn module_info(&self) -> &ModuleInfo;

    /// Returns a provider for a [`WapcHost`](crate::WapcHost).
    ///
    /// # Errors
    /// The engine has no room, or no synchronous mode.
    fn provider(&self) -> Result<Box<dyn WebAssemblyEngineProvider + Send>, BoxError>;

    /// Returns a provider for a [`WapcHostAsync`](crate::WapcHostAsync).
    ///
    /// # Errors
    /// The engine has no room, or no asynchronous mode.
    #[cfg(feature = "async")]
    fn provider_async(&self) -> Result<Box<dyn WebAssemblyEngineProviderAsync + Send>, BoxError>;

    /// Compiles another module with this engine and these settings, which may take long.
    ///
    /// # Errors
    /// The module is refused.
    fn with_module(&self, bytes: &[u8]) -> Result<Arc<dyn EngineProviderFactory>, BoxError>;
}

/// What an engine can do. An engine refuses an option that asks for more as
/// [`ErrorKind::Unsupported`](crate::errors::ErrorKind::Unsupported), and never ignores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "a set of independent yes-or-no answers")]
pub struct Capabilities {
    /// Ends a guest at its deadline, wherever it runs.
    pub deadline: bool,
    /// Counts fuel. That costs the guest time in every loop, so some engines count it only for a
    /// factory that was built with a limit of fuel.
    pub fuel: bool,
    /// Gives the same answers and burns the same fuel in every run, including the bits of NaNs,
    /// because the factory was built for that.
    pub deterministic: bool,
    /// Caps memory and tables.
    pub memory_limit: bool,
    /// Compiles ahead of time to an artifact.
    pub ahead_of_time: bool,
    /// Suspends a guest while a host call is awaited.
    pub suspend: bool,
    /// Serves WASI preview 1.
    pub wasi: bool,
    /// Ends a guest that recurses too deep with a typed error.
    pub stack_limit: bool,
    /// Says where guest code was when it ended:
    /// [`Error::backtrace`](crate::errors::Error::backtrace).
    pub backtrace: bool,
}

impl Capabilities {
    /// Returns capabilities that are all off.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            deadline: false,
            fuel: false,
            deterministic: false,
            memory_limit: false,
            ahead_of_time: false,
            suspend: false,
            wasi: false,
            stack_limit: false,
            backtrace: false,
        }
    }
}
