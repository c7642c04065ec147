//! An asynchronous service: plugins on tokio whose host calls have to wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use wapc::{HostCallbackAsync, WapcHostAsync};
use wasmtime_provider::{WasmtimeEngineProviderAsyncPre, WasmtimeEngineProviderBuilder};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A store with a delay, like one over a network.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<HashMap<String, Vec<u8>>>>);

impl Store {
    /// Sets a value.
    pub async fn put(&self, key: &str, value: &[u8]) {
        self.0.lock().await.insert(key.to_owned(), value.to_vec());
    }

    async fn load(&self, key: &str) -> Result<Vec<u8>, BoxError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.0.lock().await.get(key).cloned().ok_or_else(|| format!("no such key: {key}").into())
    }
}

/// Plugins from one module; each is an instance, and all use one store.
pub struct Service {
    pre: WasmtimeEngineProviderAsyncPre,
    store: Store,
}

impl Service {
    /// Compiles the module.
    pub fn new(module: &[u8], store: Store) -> Result<Self, wasmtime_provider::errors::Error> {
        Ok(Self { pre: WasmtimeEngineProviderBuilder::new().module_bytes(module).build_async_pre()?, store })
    }

    /// Starts an instance. The guest's `host…` operations look up their payload in the store.
    pub async fn plugin(&self) -> Result<Plugin, BoxError> {
        let store = self.store.clone();
        let callback: Box<HostCallbackAsync> =
            Box::new(move |_id, _binding, _namespace, _operation, payload| {
                let store = store.clone();
                Box::pin(async move {
                    let key = String::from_utf8(payload)?;
                    store.load(&key).await
                })
            });
        let host = WapcHostAsync::new(Box::new(self.pre.rehydrate()?), Some(callback)).await?;
        Ok(Plugin(Arc::new(Mutex::new(host))))
    }
}

/// An instance that tasks share. Users of `wapc` 2.x needed this lock around it.
#[derive(Clone)]
pub struct Plugin(Arc<Mutex<WapcHostAsync>>);

impl Plugin {
    /// Calls an operation.
    pub async fn call(&self, operation: &str, payload: &[u8]) -> Result<Vec<u8>, wapc::errors::Error> {
        self.0.lock().await.call(operation, payload).await
    }
}
