//! Makes routes of grants.

use std::sync::Arc;

use antiphon::{
    Bytes, HostCall, HostCallError, HostHandler, HostHandlerAsync, HostRouter, Route, async_trait, handler_fn,
};

use crate::config::{Config, Secrets};
use crate::gate::{AtOnce, Gate, Gated, Serve, ServeAtOnce};
use crate::keyvalue::Keyvalue;
use crate::logging::Logging;
use crate::module::Modules;
use crate::observe::{Observed, Observer};
use crate::text::quoted;
use crate::{Backends, Code, Fault, Grant, GrantError, Grants};

/// The namespaces of host calls, each with what grants it.
const NAMESPACES: [(&str, &str); 6] = [
    ("keyvalue", "keyvalue = { ... }"),
    ("http", "http = { ... }"),
    ("config", "config = { ... }"),
    ("secrets", "config = { NAME = { file = \"...\" } }"),
    ("logging", "logging = {}"),
    ("module", "module = { names = [...] }"),
];

impl Grants {
    /// Makes the routes of a module. They serve the namespaces `keyvalue`, `http`, `config`,
    /// `secrets`, `logging` and `module`, and refuse what is not granted there.
    ///
    /// All instances of the module share the routes, and with them the budgets of the module: make
    /// them once, and share the router in an [`Arc`]. Secrets are read now.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), and a grant of something that is not behind it: a store
    /// that `backends` lacks, or a secret that cannot be read.
    pub fn routes(&self, module: &str, backends: &Backends) -> Result<Vec<Route>, GrantError> {
        self.check()?;
        let mut routes = Vec::new();
        for (namespace, example) in NAMESPACES {
            let mut names = Vec::new();
            for (place, grant) in self.0.iter().enumerate() {
                let made = grant.handler(namespace, module, backends);
                if let Some(router) = made.map_err(|(key, text)| GrantError::new(place, key, text))? {
                    let observer = backends.observer.clone();
                    names.push((
                        grant.binding(),
                        Arc::new(Granted { router, capability: namespace, observer }),
                    ));
                }
            }
            if let [(only, handler)] = names.as_slice()
                && *only != "default"
            {
                routes.push(route(namespace, "default", handler));
            }
            for (name, handler) in &names {
                routes.push(route(namespace, name, handler));
                if names.len() == 1 || *name == "default" {
                    routes.push(route(namespace, "", handler));
                }
            }
            let names = names.iter().map(|(name, _)| *name).collect::<Vec<_>>();
            let fault = Fault::new(Code::NotGranted, not_granted(namespace, example, module, &names));
            routes.push(refusal(namespace, fault, backends.observer.clone()));
        }
        Ok(routes)
    }

    /// Makes a router that has the routes of a module and no others.
    ///
    /// # Errors
    /// Those of [`routes`](Self::routes).
    pub fn router(&self, module: &str, backends: &Backends) -> Result<HostRouter, GrantError> {
        Ok(self.routes(module, backends)?.into_iter().fold(HostRouter::new(), HostRouter::route))
    }
}

fn route(namespace: &str, binding: &str, handler: &Arc<Granted>) -> Route {
    Route::any().binding(binding).namespace(namespace).handler_async(Arc::clone(handler))
}

fn refusal(namespace: &'static str, fault: Fault, observer: Option<Observer>) -> Route {
    Route::any().namespace(namespace).handler(handler_fn(move |call| {
        let observed = Observed::begin(observer.as_ref(), namespace, &call);
        ended(observed, Err(fault.clone().into()))
    }))
}

/// Says what to write into the configuration.
fn not_granted(namespace: &str, example: &str, module: &str, names: &[&str]) -> String {
    if names.is_empty() {
        let module = key(module);
        return format!(
            "this module has no grant for {namespace}; add a [[modules.{module}.grant]] table with {example}"
        );
    }
    let names = names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    format!("this module has no grant for {namespace} with the name that the host call has; it has {names}")
}

/// Writes a name as a key of TOML.
fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { format!("{name:?}") }
}

/// What is wrong with a grant: the key, and a sentence.
pub(crate) type Wrong = (&'static str, String);

impl Grant {
    /// Makes the handler of a namespace, if this grant grants it.
    fn handler(
        &self,
        namespace: &'static str,
        module: &str,
        backends: &Backends,
    ) -> Result<Option<HostRouter>, Wrong> {
        match namespace {
            "keyvalue" => self.keyvalue.as_ref().map(|grant| {
                let gate = Gate::new(namespace, grant.max_calls_per_second, grant.max_concurrent);
                let served = Keyvalue::new(grant, module, backends)?;
                Ok(waits(gate, served, (grant.max_calls, grant.max_bytes)))
            }),
            "http" => self.http.as_ref().map(|grant| granted_http(grant, backends)),
            "config" => self.config.as_ref().map(|grant| Ok(at_once(Config::new(grant), None))),
            "secrets" => self.config.as_ref().and_then(|grant| {
                let secrets = Secrets::new(grant, backends).transpose()?;
                Some(secrets.map(|secrets| at_once(secrets, None)))
            }),
            "logging" => self.logging.as_ref().map(|grant| {
                let served = Logging::new(grant, backends);
                Ok(at_once(served, grant.max_calls))
            }),
            _ => self.module.as_ref().map(|grant| {
                let gate = Gate::new(namespace, grant.max_calls_per_second, grant.max_concurrent);
                let served = Modules::new(grant, backends)?;
                Ok(waits(gate, served, (grant.max_calls, grant.max_bytes)))
            }),
        }
        .transpose()
    }
}

#[cfg(feature = "http")]
fn granted_http(grant: &crate::HttpGrant, backends: &Backends) -> Result<HostRouter, Wrong> {
    let gate = Gate::new("http", grant.max_calls_per_second, grant.max_concurrent);
    let served = crate::http::Http::new(grant, backends)?;
    Ok(waits(gate, served, (grant.max_calls, grant.max_bytes)))
}

#[cfg(not(feature = "http"))]
fn granted_http(_: &crate::HttpGrant, _: &Backends) -> Result<HostRouter, Wrong> {
    Err(("http", "this program was built without the feature `http`".into()))
}

/// A grant as a handler.
///
/// The bindings that lead to a grant share its budgets for one guest call, so these are on a route
/// of its own, behind which are the gate and what serves the grant.
struct Granted {
    router: HostRouter,
    capability: &'static str,
    observer: Option<Observer>,
}

/// The host calls and the bytes of one guest call.
type PerCall = (Option<u64>, Option<u64>);

fn waits(gate: Gate, served: impl Serve, per_call: PerCall) -> HostRouter {
    behind(per_call, |route| route.handler_async(Gated(gate, served)))
}

fn at_once(served: impl ServeAtOnce, max_calls: Option<u64>) -> HostRouter {
    behind((max_calls, None), |route| route.handler(AtOnce(served)))
}

fn behind((calls, bytes): PerCall, with_handler: impl FnOnce(Route) -> Route) -> HostRouter {
    let mut route = Route::any();
    if let Some(calls) = calls {
        route = route.max_calls(calls);
    }
    if let Some(bytes) = bytes {
        route = route.max_bytes(bytes);
    }
    HostRouter::new().route(with_handler(route))
}

/// Gives a refusal of the core its code. The core refuses only what is over budget here, and its
/// texts begin so; those of capabilities begin with a code.
fn coded(error: HostCallError) -> HostCallError {
    let text = error.to_string();
    if text.starts_with("host call ") { Fault::new(Code::Budget, text).into() } else { error }
}

/// Ends a host call: its error has a code, and the observer knows it.
fn ended(observed: Option<Observed<'_>>, said: Result<Bytes, HostCallError>) -> Result<Bytes, HostCallError> {
    let said = said.map_err(coded);
    if let Some(observed) = observed {
        observed.end(&said);
    }
    said
}

#[async_trait]
impl HostHandlerAsync for Granted {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let observed = Observed::begin(self.observer.as_ref(), self.capability, &call);
        ended(observed, HostHandlerAsync::handle(&self.router, call).await)
    }

    fn at_once(&self) -> Option<&dyn HostHandler> {
        self.router.at_once().is_some().then_some(self)
    }
}

impl HostHandler for Granted {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let observed = Observed::begin(self.observer.as_ref(), self.capability, &call);
        ended(observed, HostHandler::handle(&self.router, call))
    }
}

/// Refuses an operation that a capability does not have.
pub(crate) fn no_operation(call: &HostCall<'_>, known: &str) -> Fault {
    let (namespace, operation) = (call.namespace, call.operation);
    Fault::invalid(format!("{namespace} has no operation {}; it has {known}", quoted(operation)))
}
