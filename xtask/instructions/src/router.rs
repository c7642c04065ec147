//! Host calls through a router, with few routes and with many, compared to a plain handler.

use std::sync::Arc;

use antiphon::{
    Bytes, EngineProviderFactory, HostHandler, HostHandlerAsync, HostRouter, Route, WapcHost, WapcHostAsync,
    handler_fn, handler_fn_async,
};
use anyhow::{Error, Result};

use crate::block_on;

/// The numbers of routes. `cargo xtask instructions` compares the last with the first.
const ROUTES: [usize; 2] = [8, 1000];

/// Adds a handler to a route.
type Serve = fn(Route) -> Route;

/// Counts host calls, synchronous and awaited, of a guest that makes one in each call.
pub(crate) fn count(engine: &str, factory: &dyn EngineProviderFactory, payload: &[u8]) -> Result<()> {
    let sync = |what: &str, handler: Arc<dyn HostHandler>| {
        let provider = factory.provider().map_err(Error::from_boxed)?;
        let host = WapcHost::builder(provider).handler(handler).build()?;
        crate::count(&format!("{engine} sync {what}"), &host, payload)
    };
    let awaited = |what: &str, handler: Arc<dyn HostHandlerAsync>| {
        let provider = factory.provider_async().map_err(Error::from_boxed)?;
        let host = block_on(WapcHostAsync::builder(provider).handler(handler).build())?;
        crate::count_async(&format!("{engine} cooperative {what}"), &host, payload)
    };
    let now: Serve = |route| route.handler(handler_fn(|call| Ok(Bytes::copy_from_slice(call.payload))));
    let later: Serve = |route| {
        route.handler_async(handler_fn_async(|call| {
            Box::pin(async move { Ok(Bytes::copy_from_slice(call.payload)) })
        }))
    };

    sync("handler", Arc::new(handler_fn(|call| Ok(Bytes::copy_from_slice(call.payload)))))?;
    let handler = handler_fn_async(|call| Box::pin(async move { Ok(Bytes::copy_from_slice(call.payload)) }));
    awaited("handler", Arc::new(handler))?;
    for routes in ROUTES {
        sync(&format!("router-{routes}"), Arc::new(router(routes, now)))?;
        awaited(&format!("router-{routes}"), Arc::new(router(routes, later)))?;
    }
    let limited = |serve: Serve| HostRouter::new().route(serve(Route::any().max_calls(1).max_bytes(1 << 20)));
    sync("router-budget", Arc::new(limited(now)))?;
    awaited("router-budget", Arc::new(limited(later)))
}

/// The shapes of the routes. Only the last route matches the guest's host call. Its names also
/// occur in most of the other shapes, but never together, so that these have to be looked up.
const SHAPES: [[&str; 3]; 8] = [
    ["bench", "antiphon", "x"],
    ["x", "x", "echo"],
    ["bench", "x", "*"],
    ["x", "antiphon", "*"],
    ["bench", "*", "x"],
    ["x", "*", "echo"],
    ["*", "antiphon", "x"],
    ["*", "*", "*"],
];

/// Builds a router with this many routes: the shapes above, then the same shapes with other names.
fn router(routes: usize, serve: Serve) -> HostRouter {
    (0..routes).zip(SHAPES.into_iter().cycle()).fold(HostRouter::new(), |router, (number, shape)| {
        let more = number / SHAPES.len();
        let [binding, namespace, operation] = shape.map(|name| match (name, more) {
            ("*", _) if shape != ["*"; 3] => name.to_owned(),
            (name, 0) => name.to_owned(),
            (_, more) => format!("name-{more}"),
        });
        router.route(serve(Route::any().binding(&binding).namespace(&namespace).operation(&operation)))
    })
}
