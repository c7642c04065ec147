//! A guest on a host of either kind, so that each case is written once.

use wapc::{HostCallback, HostCallbackAsync, WapcHost, WapcHostAsync};
use wasmtime_provider::WasmtimeEngineProviderBuilder;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The function that answers the guest's host calls, on either kind of host.
pub type Answer = fn(u64, &str, &str, &str, &[u8]) -> Result<Vec<u8>, BoxError>;

/// A host of either kind; the asynchronous one has its runtime with it.
pub enum Host {
    Sync(WapcHost),
    Async(WapcHostAsync, tokio::runtime::Runtime),
}

/// Returns a runtime with one thread.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

impl Host {
    /// Starts the builder's module on a host of each kind.
    pub fn both(
        builder: &WasmtimeEngineProviderBuilder<'_>,
        answer: Option<Answer>,
    ) -> [Result<Self, String>; 2] {
        let sync = builder.build().map_err(|error| error.to_string()).and_then(|engine| {
            let callback = answer.map(|answer| -> Box<HostCallback> { Box::new(answer) });
            WapcHost::new(Box::new(engine), callback).map(Self::Sync).map_err(|error| error.to_string())
        });
        let asynchronous = builder.build_async().map_err(|error| error.to_string()).and_then(|engine| {
            let callback = answer.map(|answer| -> Box<HostCallbackAsync> {
                Box::new(move |id, bd, ns, op, payload| {
                    Box::pin(async move { answer(id, &bd, &ns, &op, &payload) })
                })
            });
            let runtime = runtime();
            match runtime.block_on(WapcHostAsync::new(Box::new(engine), callback)) {
                Ok(host) => Ok(Self::Async(host, runtime)),
                Err(error) => Err(error.to_string()),
            }
        });
        [sync, asynchronous]
    }

    /// Starts a module that must start, on a host of each kind.
    pub fn started(builder: &WasmtimeEngineProviderBuilder<'_>, answer: Option<Answer>) -> [Self; 2] {
        Self::both(builder, answer).map(|host| host.unwrap())
    }

    /// Starts a module in text or binary format with default settings.
    pub fn of(module: impl AsRef<[u8]>, answer: Option<Answer>) -> [Self; 2] {
        Self::started(&WasmtimeEngineProviderBuilder::new().module_bytes(module.as_ref()), answer)
    }

    /// Returns the texts with which a module is refused, by its build or its start.
    pub fn refused(builder: &WasmtimeEngineProviderBuilder<'_>) -> [String; 2] {
        Self::both(builder, None).map(|host| match host {
            Ok(_) => panic!("the module started"),
            Err(text) => text,
        })
    }

    pub fn call(&self, operation: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Sync(host) => host.call(operation, payload),
            Self::Async(host, runtime) => runtime.block_on(host.call(operation, payload)),
        }
        .map_err(|error| error.to_string())
    }

    pub fn replace(&self, module: &[u8]) -> Result<(), String> {
        match self {
            Self::Sync(host) => host.replace_module(module),
            Self::Async(host, runtime) => runtime.block_on(host.replace_module(module)),
        }
        .map_err(|error| error.to_string())
    }

    pub fn id(&self) -> u64 {
        match self {
            Self::Sync(host) => host.id(),
            Self::Async(host, _) => host.id(),
        }
    }
}

/// Answers with `binding/namespace/operation:payload`, and refuses the payload `no`.
pub fn parrot(_id: u64, bd: &str, ns: &str, op: &str, payload: &[u8]) -> Result<Vec<u8>, BoxError> {
    match payload {
        b"no" => Err("not today".into()),
        _ => Ok([bd, "/", ns, "/", op, ":"]
            .concat()
            .into_bytes()
            .into_iter()
            .chain(payload.to_vec())
            .collect()),
    }
}
