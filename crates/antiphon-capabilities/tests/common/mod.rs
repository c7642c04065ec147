//! A guest that asks its host whatever a test wants.

#![allow(dead_code, reason = "each test uses its part")]

use antiphon::testing::TestEngine;
use antiphon::{Context, Request, WapcHost, WapcHostAsync};
use antiphon_capabilities::{Backends, Grants};
use serde_json::Value;

/// Makes grants of TOML, which has a list `grant`.
pub(crate) fn grants(toml: &str) -> Grants {
    let mut tables: std::collections::BTreeMap<String, Grants> = toml::from_str(toml).unwrap();
    tables.remove("grant").unwrap()
}

/// A guest that makes host calls: its payload has, between bytes 0xff, how often, binding,
/// namespace, operation and payload. It answers the last answer, or fails with the last error.
pub(crate) fn guest() -> TestEngine {
    TestEngine::new().operation_with_host("ask", |guest| async move {
        let parts: Vec<_> = guest.payload().splitn(5, |byte| *byte == 0xff).collect();
        let [times, binding, namespace, operation, payload] = parts.as_slice() else {
            return Err("too few parts".into());
        };
        let [times, binding, namespace, operation] =
            [times, binding, namespace, operation].map(|part| std::str::from_utf8(part).unwrap());
        let mut said = Err("no host call".to_owned());
        for _ in 0..times.parse::<u32>().unwrap() {
            said = guest.host_call(binding, namespace, operation, payload).await;
        }
        said
    })
}

/// A host call of the guest.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) times: u32,
    pub(crate) binding: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) operation: &'a str,
}

/// Asks once, of the only grant there is.
pub(crate) fn ask<'a>(namespace: &'a str, operation: &'a str) -> Ask<'a> {
    Ask { times: 1, binding: "", namespace, operation }
}

impl<'a> Ask<'a> {
    pub(crate) fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    pub(crate) fn binding(self, binding: &'a str) -> Self {
        Self { binding, ..self }
    }

    fn payload(self, payload: &[u8]) -> Vec<u8> {
        let Self { times, binding, namespace, operation } = self;
        let times = times.to_string();
        [times.as_bytes(), binding.as_bytes(), namespace.as_bytes(), operation.as_bytes(), payload]
            .join(&0xff)
    }

    /// Returns the answer, or the error's text.
    pub(crate) fn of(self, host: &WapcHost, payload: impl AsRef<[u8]>) -> Result<Vec<u8>, String> {
        host.call("ask", &self.payload(payload.as_ref()))
            .map_err(|error| error.guest_error().unwrap().to_owned())
    }

    pub(crate) fn json(self, host: &WapcHost, payload: Value) -> Result<Value, String> {
        self.of(host, payload.to_string()).map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    pub(crate) async fn of_async(
        self,
        host: &WapcHostAsync,
        context: Context,
        payload: impl AsRef<[u8]>,
    ) -> Result<Vec<u8>, String> {
        let request = Request::new("ask", self.payload(payload.as_ref())).context(context);
        let said = host.call_with(request).await;
        said.map(|response| response.payload).map_err(|error| match error.guest_error() {
            Some(text) => text.to_owned(),
            None => panic!("{error:?}"),
        })
    }

    pub(crate) async fn json_async(self, host: &WapcHostAsync, payload: Value) -> Result<Value, String> {
        let said = self.of_async(host, Context::new(), payload.to_string()).await;
        said.map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }
}

/// Makes a synchronous host of the guest.
pub(crate) fn host(toml: &str, backends: &Backends) -> WapcHost {
    let router = grants(toml).router("shop", backends).unwrap();
    WapcHost::builder(Box::new(guest())).handler(router).build().unwrap()
}

pub(crate) async fn host_async(toml: &str, backends: &Backends) -> WapcHostAsync {
    let router = grants(toml).router("shop", backends).unwrap();
    WapcHostAsync::builder(Box::new(guest())).handler(router).build().await.unwrap()
}
