//! Serves the namespace `http`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use antiphon::{Bytes, HostCall, async_trait, ticker};
use hyper::Method;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::connect::Connect;
use super::exchange::{Granted, Ready, Url};
use super::guard::Guard;
use super::headers::{self, Pairs};
use crate::gate::Serve;
use crate::routes::{Wrong, no_operation};
use crate::text::quoted;
use crate::wire::{Blob, read};
use crate::{Backends, Code, Fault, HttpGrant};

/// The most headers, and the most bytes of them, of a response.
const RESPONSE_HEADERS: usize = 128;
const RESPONSE_HEADER_BYTES: usize = 64 << 10;
/// Connections that are kept for the next request, for each origin.
const KEPT: usize = 4;
const KEPT_FOR: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked<'a> {
    #[serde(borrow, default = "get")]
    method: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(borrow, default)]
    headers: Pairs<'a>,
    #[serde(borrow, default)]
    body: Option<Blob<'a>>,
    #[serde(default)]
    timeout_ms: Option<u64>,
}

fn get<'a>() -> Cow<'a, str> {
    "GET".into()
}

#[derive(Serialize)]
struct Said<'a> {
    status: u16,
    headers: Pairs<'a>,
    body: Blob<'a>,
}

/// Serves the namespace `http`.
pub(crate) struct Http {
    granted: Arc<Granted>,
    runtime: Handle,
    timeout: Duration,
    request: usize,
}

impl Http {
    pub(crate) fn new(grant: &HttpGrant, backends: &Backends) -> Result<Self, Wrong> {
        let Some(client) = &backends.http else {
            return Err(("http", "this program sends no requests of guests: it gave no HTTP client".into()));
        };
        let methods = grant.methods.iter().map(|name| Method::from_bytes(name.as_bytes()));
        let methods =
            methods.collect::<Result<_, _>>().map_err(|error| ("http.methods", error.to_string()))?;
        let connect = Connect::new(Guard::new(&grant.allow_addresses), Arc::clone(&client.resolver));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config((*client.tls).clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(connect);
        // Each grant has connections of its own: another one may allow other addresses.
        let client_of_grant = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(KEPT)
            .pool_idle_timeout(KEPT_FOR)
            .pool_timer(TokioTimer::new())
            .http1_max_headers(RESPONSE_HEADERS)
            .http1_max_buf_size(RESPONSE_HEADER_BYTES)
            .build(connector);
        let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        let granted = Granted {
            client: client_of_grant,
            allow: grant.allow.clone(),
            methods,
            response: size(grant.response),
            redirects: grant.redirects,
        };
        Ok(Self {
            granted: Arc::new(granted),
            runtime: client.runtime.clone(),
            timeout: grant.timeout,
            request: size(grant.request),
        })
    }

    fn ready(&self, asked: &Asked<'_>) -> Result<Ready, Fault> {
        let method = Method::from_bytes(asked.method.as_bytes());
        let method = method.map_err(|_| Fault::invalid(format!("{} is no method", quoted(&asked.method))))?;
        let body = asked.body.as_ref().map(Blob::to_bytes).unwrap_or_default();
        if body.len() > self.request {
            let text = format!("the request's body has {} of {} bytes", body.len(), self.request);
            return Err(Fault::new(Code::TooLarge, text));
        }
        Ok(Ready { method, url: Url::parse(&asked.url)?, headers: headers::read(&asked.headers)?, body })
    }
}

#[async_trait]
impl Serve for Http {
    async fn serve(&self, call: HostCall<'_>) -> Result<Bytes, Fault> {
        if call.operation != "request" {
            return Err(no_operation(&call, "request"));
        }
        let (asked, format) = read::<Asked<'_>>(call.payload)?;
        let timeout = match asked.timeout_ms {
            Some(0) => return Err(Fault::invalid("timeout_ms is 0; leave it out, or give at least 1")),
            Some(millis) => self.timeout.min(Duration::from_millis(millis)),
            None => self.timeout,
        };
        let exchange = Arc::clone(&self.granted).exchange(self.ready(&asked)?);
        let mut task = Abort(self.runtime.spawn(exchange));
        let answer = match ticker::within(timeout, &mut task.0).await {
            Some(Ok(answer)) => answer?,
            Some(Err(_)) => {
                return Err(Fault::new(Code::Unavailable, "the request was given up by the host"));
            }
            None => {
                let text = format!("the request took longer than {timeout:?}");
                return Err(Fault::new(Code::Timeout, text));
            }
        };
        let said = Said {
            status: answer.status.as_u16(),
            headers: headers::of_response(&answer.headers),
            body: (&*answer.body).into(),
        };
        format.write(&said)
    }
}

/// A task that ends when nothing waits for it any more.
struct Abort<T>(JoinHandle<T>);

impl<T> Drop for Abort<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
