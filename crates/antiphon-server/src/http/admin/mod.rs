//! The operators' API, on a port of its own.

mod etag;
mod events;
mod modules;
mod openapi;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::routing::{MethodRouter, get, post};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::accept::Service;
use super::access::Line;
use super::auth::{Auth, same_origin};
use super::body::Body;
use super::connection::Watch;
use super::health::Health;
use crate::deployment::Modules;
use crate::meters::Meters;
use crate::outcome::Refusal;
use reply::{Code, Reply, Wrong};

/// What the routes work on.
pub(super) struct Shared {
    pub(super) modules: Modules,
    pub(super) auth: Arc<ArcSwap<Auth>>,
    pub(super) meters: Arc<Meters>,
    pub(super) health: Arc<Health>,
    /// The longest time for a body to arrive.
    pub(super) patience: Duration,
    /// Turns true when streams have to end.
    pub(super) stop: watch::Sender<bool>,
    pub(super) began: Instant,
}

type Ops = Arc<Shared>;

/// What answers operators.
pub(super) struct Admin {
    shared: Ops,
    routes: TowerToHyperService<Router>,
}

/// Returns every route: its path, and what answers its methods.
fn routes() -> [(&'static str, MethodRouter<Ops>); 14] {
    [
        ("/healthz", get(healthz)),
        ("/readyz", get(readyz)),
        ("/metrics", get(metrics)),
        ("/v1/openapi.json", get(openapi::document)),
        ("/v1/stats", get(stats)),
        ("/v1/events", get(events::events)),
        ("/v1/modules", get(modules::list)),
        ("/v1/modules/{module}", get(modules::one).put(modules::put).delete(modules::remove)),
        ("/v1/modules/{module}/versions", post(modules::deploy)),
        ("/v1/modules/{module}/promote", post(modules::promote)),
        ("/v1/modules/{module}/rollback", post(modules::rollback)),
        ("/v1/modules/{module}/drain", post(modules::drain)),
        ("/v1/modules/{module}/retry", post(modules::retry)),
        ("/v1/modules/{module}/logs", get(events::logs)),
    ]
}

impl Admin {
    pub(super) fn new(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let router =
            routes().into_iter().fold(Router::new(), |router, (path, route)| router.route(path, route));
        let router = router
            .fallback(async || Wrong::from(Refusal::NotFound))
            .method_not_allowed_fallback(async || Wrong::from(Refusal::MethodNotAllowed("")))
            .with_state(Arc::clone(&shared));
        Self { shared, routes: TowerToHyperService::new(router) }
    }

    /// Checks that the sender may do what it asks for, and returns its token's name.
    fn admit<'a>(&self, auth: &'a Auth, request: &Request<Incoming>) -> Result<&'a str, (&'a str, Refusal)> {
        let (headers, uri) = (request.headers(), request.uri());
        same_origin(headers, uri, auth.is_open()).map_err(|refusal| ("-", refusal))?;
        // Probes have no token. They learn no names.
        let probe = matches!(uri.path(), "/healthz" | "/readyz") && uri.query().is_none();
        if probe {
            return Ok("-");
        }
        let grant = auth.check(headers).map_err(|refusal| ("-", refusal))?;
        // What only reads numbers should hold no token that can deploy.
        if uri.path() != "/metrics" {
            grant.admin().map_err(|refusal| (grant.name(), refusal))?;
        }
        Ok(grant.name())
    }
}

impl Service for Admin {
    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        connection: Arc<Watch>,
    ) -> Response<Body> {
        let began = Instant::now();
        let auth = self.shared.auth.load_full();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (token, response) = match self.admit(&auth, &request) {
            Ok(token) => {
                request.extensions_mut().insert(Arc::clone(&connection));
                let response = self.routes.call(request).await;
                (token, response.unwrap_or_else(|never| match never {}))
            }
            Err((token, refusal)) => {
                if !hyper::body::Body::is_end_stream(request.body()) {
                    connection.leave_unread();
                }
                (token, axum::response::IntoResponse::into_response(Wrong::from(refusal)))
            }
        };
        let code = response.extensions().get::<Code>().map_or("ok", |code| code.0);
        Line {
            method: &method,
            path: uri.path(),
            status: response.status(),
            module: "",
            digest: None,
            code,
            took: began.elapsed(),
            received: 0,
            sent: 0,
            trace_id: 0,
            token,
        }
        .write();
        response.map(|body| Body::Stream { body, _running: connection.running() })
    }
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(ops): State<Ops>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let mut parameters = query.iter().flat_map(|query| query.split('&'));
    if parameters.any(|parameter| parameter.split('=').next() == Some("verbose")) {
        ops.health.ready_verbose(&ops.modules)
    } else {
        ops.health.ready(&ops.modules)
    }
}

async fn metrics(State(ops): State<Ops>) -> Reply {
    let text = ops.meters.render().ok_or(Refusal::NotFound)?;
    let mut response = Response::new(text.into());
    let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, format);
    Ok(response)
}

async fn stats(State(ops): State<Ops>) -> Reply {
    let uptime = u64::try_from(ops.began.elapsed().as_millis()).unwrap_or(u64::MAX);
    reply::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_ms": uptime,
        "modules": ops.modules.list(),
    }))
}
