//! What stands behind the grants of all modules of a program.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::logging::Sink;
use crate::observe::Observer;
use crate::{CallModule, GuestLine, HostCallEnd, ReadSecret, Store, read_reference};

/// What stands behind the grants of all modules of a program: stores, clients, other modules.
///
/// A clone shares everything.
#[derive(Clone)]
#[must_use = "backends do nothing until grants are made routes with them"]
pub struct Backends {
    pub(crate) stores: BTreeMap<String, Arc<dyn Store>>,
    #[cfg(feature = "http")]
    pub(crate) http: Option<crate::HttpClient>,
    pub(crate) modules: Option<Arc<dyn CallModule>>,
    pub(crate) secrets: Arc<dyn ReadSecret>,
    pub(crate) log: Option<Sink>,
    pub(crate) observer: Option<Observer>,
}

impl Backends {
    /// Creates backends without stores, clients and modules. Secrets are read by
    /// [`read_reference`], and guests log to `tracing`.
    pub fn new() -> Self {
        Self {
            stores: BTreeMap::new(),
            #[cfg(feature = "http")]
            http: None,
            modules: None,
            secrets: Arc::new(read_reference),
            log: None,
            observer: None,
        }
    }

    /// Adds a store, in place of an earlier one of this name. Grants name it by their key `store`.
    pub fn store(mut self, name: impl Into<String>, store: impl Store + 'static) -> Self {
        self.stores.insert(name.into(), Arc::new(store));
        self
    }

    /// Sets the client that sends the requests of guests.
    #[cfg(feature = "http")]
    pub fn http(mut self, client: crate::HttpClient) -> Self {
        self.http = Some(client);
        self
    }

    /// Sets what calls other modules.
    pub fn modules(mut self, modules: impl CallModule + 'static) -> Self {
        self.modules = Some(Arc::new(modules));
        self
    }

    /// Sets what reads secrets. It is asked when routes are made, not in host calls.
    pub fn secrets(mut self, secrets: impl ReadSecret + 'static) -> Self {
        self.secrets = Arc::new(secrets);
        self
    }

    /// Sets a function that gets the lines of guests, instead of `tracing`. It runs on the guest's
    /// thread and must not block.
    pub fn log(mut self, sink: impl Fn(GuestLine<'_>) + Send + Sync + 'static) -> Self {
        self.log = Some(Arc::new(sink));
        self
    }

    /// Sets a function that is told of each host call of a capability when it ends, refused ones
    /// included. It runs on the guest's thread and must not block.
    pub fn observe(mut self, observer: impl Fn(HostCallEnd<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }
}

impl Default for Backends {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backends").field("stores", &self.stores.keys()).finish_non_exhaustive()
    }
}
