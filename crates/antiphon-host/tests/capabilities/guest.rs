//! The guest that uses all that a host grants, guests/rust/capabilities.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Fate};
use antiphon::{EngineProviderFactory, Limits, Request, WapcHost, WapcHostAsync, block_on};
use antiphon_capabilities::{Backends, Grants};
use antiphon_codec::{Codec, MessagePack};
use antiphon_host::{EngineKind, EngineOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A host of either kind, with a name for messages.
pub(crate) struct Host {
    pub(crate) name: String,
    kind: Kind,
}

enum Kind {
    Sync(Box<WapcHost>),
    Async(Box<WapcHostAsync>),
}

impl Host {
    pub(crate) fn call_with(&self, request: Request<'_>) -> Result<Vec<u8>, Error> {
        let response = match &self.kind {
            Kind::Sync(host) => host.call_with(request),
            Kind::Async(host) => block_on(host.call_with(request)),
        };
        response.map(|response| response.payload)
    }

    /// Calls from the code of a host call: that of a host of the async kind waits in its own task.
    pub(crate) async fn call_inside(&self, request: Request<'_>) -> Result<Vec<u8>, Error> {
        match &self.kind {
            Kind::Sync(host) => host.call_with(request).map(|response| response.payload),
            Kind::Async(host) => host.call_with(request).await.map(|response| response.payload),
        }
    }

    /// Calls an operation with bytes. A refusal is what the guest fails with, and the instance that
    /// was refused serves the next call.
    pub(crate) fn bytes(&self, operation: &str, payload: impl AsRef<[u8]>) -> Result<Vec<u8>, String> {
        self.call_with(Request::new(operation, payload.as_ref())).map_err(|error| self.refusal(&error))
    }

    pub(crate) fn refusal(&self, error: &Error) -> String {
        let ended = (error.kind(), error.fate());
        assert_eq!(ended, (ErrorKind::GuestFailed, Fate::Kept), "{}: {error:?}", self.name);
        error.guest_error().unwrap().to_owned()
    }

    /// Calls an operation that takes and answers MessagePack.
    pub(crate) fn ask<A: DeserializeOwned>(
        &self,
        operation: &str,
        question: impl Serialize,
    ) -> Result<A, String> {
        let answer = self.bytes(operation, MessagePack.encode(&question).unwrap())?;
        Ok(MessagePack.decode(&answer).unwrap())
    }
}

/// Returns a built guest, compiled for each engine with time enough for a busy machine.
pub(crate) fn compiled(file: &str) -> Vec<(EngineKind, Arc<dyn EngineProviderFactory>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/built").join(file);
    let module = std::fs::read(path).unwrap();
    let options = EngineOptions::new().limits(Limits::new().deadline(Duration::from_secs(30)));
    EngineKind::available().map(|engine| (engine, engine.factory(&module, &options).unwrap())).collect()
}

/// Reads grants in the words of a configuration.
pub(crate) fn grants(toml: &str) -> Grants {
    let mut tables: BTreeMap<String, Grants> = toml::from_str(toml).unwrap();
    tables.remove("grant").unwrap_or_default()
}

/// Makes hosts of both kinds on each engine, with these grants for a module that is called `shop`.
/// Each host gets backends of its own from the function.
pub(crate) fn hosts(toml: &str, backends: impl Fn() -> Backends) -> Vec<Host> {
    type Compiled = Vec<(EngineKind, Arc<dyn EngineProviderFactory>)>;
    static COMPILED: LazyLock<Compiled> = LazyLock::new(|| compiled("rust-capabilities.wasm"));
    let router = || grants(toml).router("shop", &backends()).unwrap();
    let mut hosts = Vec::new();
    for (engine, factory) in COMPILED.iter() {
        let host = WapcHost::builder(factory.provider().unwrap()).handler(router()).build().unwrap();
        hosts.push(Host { name: format!("{engine}, sync"), kind: Kind::Sync(Box::new(host)) });
        let host = WapcHostAsync::builder(factory.provider_async().unwrap()).handler(router()).build();
        let kind = Kind::Async(Box::new(block_on(host).unwrap()));
        hosts.push(Host { name: format!("{engine}, async"), kind });
    }
    hosts
}
