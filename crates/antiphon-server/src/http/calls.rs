//! Calls over HTTP: `POST /v1/modules/{module}/operations/{operation}`.
//!
//! The port speaks no more than this, `/healthz` and `/readyz`, so it needs no router.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};

use super::accept::Service;
use super::access::Line;
use super::auth::{Auth, same_origin};
use super::body::{self, Body};
use super::connection::Watch;
use super::health::Health;
use super::path::{self, Names};
use super::terms::{Terms, Traces};
use crate::call::{self, Outcome, Timing, Trace};
use crate::deployment::Modules;
use crate::meters::{Meters, Tally};
use crate::outcome::{About, Problem, Refusal, Verdict};

const MODULE: HeaderName = HeaderName::from_static("antiphon-module");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What answers calls.
pub(super) struct Calls {
    pub(super) modules: Modules,
    pub(super) auth: Arc<ArcSwap<Auth>>,
    pub(super) bounds: Arc<ArcSwap<body::Bounds>>,
    pub(super) meters: Arc<Meters>,
    pub(super) health: Arc<Health>,
    pub(super) traces: Traces,
}

/// A request of this port, apart from its body.
struct Asked<'a> {
    head: &'a Parts,
    connection: &'a Watch,
    began: Instant,
}

/// What a call is known by while it is answered.
struct Known<'a> {
    module: &'a str,
    token: &'a str,
    trace_id: u128,
}

impl Service for Calls {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, connection: Arc<Watch>) -> Response<Body> {
        let began = Instant::now();
        let (head, body) = request.into_parts();
        let asked = Asked { head: &head, connection: &connection, began };
        match path::call(head.uri.path()) {
            Some(names) => self.call(asked, names, body).await,
            None => self.other(&asked, &body),
        }
    }
}

impl Calls {
    async fn call(
        &self,
        asked: Asked<'_>,
        names: Result<Names<'_>, Refusal>,
        body: Incoming,
    ) -> Response<Body> {
        let head = asked.head;
        let trace = self.traces.of(&head.headers);
        let auth = self.auth.load_full();
        let mut known = Known { module: "", token: "-", trace_id: trace.trace_id };
        let names = match names {
            Ok(names) => names,
            Err(refusal) => return self.refuse(&asked, &known, &refusal, Some(&body)),
        };
        let terms = match self.admit(head, &auth, &names, trace) {
            Ok((token, terms)) => {
                known.token = token;
                terms
            }
            Err((token, refusal)) => {
                known.token = token;
                return self.refuse(&asked, &known, &refusal, Some(&body));
            }
        };
        known.module = &names.module;
        let bounds = **self.bounds.load();
        let payload = match body::read(body, bounds).await {
            Ok(payload) => payload,
            Err(refusal) => return self.refuse(&asked, &known, &refusal, None),
        };
        let received = payload.len();
        let _running = self.meters.enter();
        let incoming = call::Incoming {
            module: &names.module,
            operation: &names.operation,
            payload,
            // The body took a part of the caller's time.
            timeout: terms.timeout.map(|timeout| timeout.saturating_sub(asked.began.elapsed())),
            info: terms.info,
            sticky: terms.sticky,
            version: terms.version,
            caller: None,
        };
        let mut watched = Watched { calls: self, asked: &asked, known: &known, received, over: false };
        let outcome = call::call(&self.modules, incoming).await;
        watched.over = true;
        self.conclude(&asked, &known, outcome, received)
    }

    /// Checks that a call may be made, and reads what its caller says. Returns the token's name
    /// either way.
    fn admit<'a>(
        &self,
        head: &'a Parts,
        auth: &'a Auth,
        names: &Names<'_>,
        trace: Trace,
    ) -> Result<(&'a str, Terms<'a>), (&'a str, Refusal)> {
        if head.method != Method::POST {
            return Err(("-", Refusal::MethodNotAllowed("POST")));
        }
        // A browser names the token itself only to a page that knows it.
        if auth.is_open() {
            same_origin(&head.headers, &head.uri, true).map_err(|refusal| ("-", refusal))?;
        }
        let grant = auth.check(&head.headers).map_err(|refusal| ("-", refusal))?;
        let named = |refusal| (grant.name(), refusal);
        grant.may_call(&names.module).map_err(named)?;
        let terms = Terms::read(&head.headers, trace).map_err(named)?;
        if terms.version.is_some() {
            grant.admin().map_err(named)?;
        }
        Ok((grant.name(), terms))
    }

    fn conclude(
        &self,
        asked: &Asked<'_>,
        known: &Known<'_>,
        outcome: Outcome,
        received: usize,
    ) -> Response<Body> {
        let Outcome { result, version, timing } = outcome;
        let (code, sent, mut response) = match result {
            Ok(answer) => {
                let sent = answer.len();
                let mut response = Response::new(Body::Whole(Bytes::from(answer)));
                let bytes = HeaderValue::from_static("application/octet-stream");
                response.headers_mut().insert(header::CONTENT_TYPE, bytes);
                ("ok", sent, response)
            }
            Err(failure) => {
                let about = About {
                    module: Some(known.module),
                    digest: version.as_ref().map(|version| version.digest),
                    trace_id: known.trace_id,
                };
                let response = Problem::of_failure(&failure, about).into_response(Body::from);
                (Verdict::of_failure(&failure).code, 0, response)
            }
        };
        let headers = response.headers_mut();
        if let Some(version) = &version {
            headers.insert(MODULE, version.label.clone());
            headers.insert(SERVER_TIMING, server_timing(timing));
        }
        let took = asked.began.elapsed();
        match &version {
            Some(version) => self.meters.count(version, known.module, &Tally { code, took, received, sent }),
            // A name that no module has becomes no label.
            None if code == "unknown_module" => self.meters.refuse(code),
            None => self.meters.count_without(known.module, code),
        }
        Line {
            method: &asked.head.method,
            path: asked.head.uri.path(),
            status: response.status(),
            module: known.module,
            digest: version.as_ref().map(|version| version.digest),
            code,
            took,
            received,
            sent,
            trace_id: known.trace_id,
            token: known.token,
        }
        .write();
        response
    }

    /// Answers a request that reaches no module. `body` is what was not read of it.
    #[cold]
    fn refuse(
        &self,
        asked: &Asked<'_>,
        known: &Known<'_>,
        refusal: &Refusal,
        body: Option<&Incoming>,
    ) -> Response<Body> {
        if body.is_none_or(|body| !body.is_end_stream()) {
            asked.connection.leave_unread();
        }
        let module = Some(known.module).filter(|module| !module.is_empty());
        let about = About { module, digest: None, trace_id: known.trace_id };
        let response = Problem::of_refusal(refusal, about).into_response(Body::from);
        let code = refusal.verdict().code;
        self.meters.refuse(code);
        Line {
            method: &asked.head.method,
            path: asked.head.uri.path(),
            status: response.status(),
            module: known.module,
            digest: None,
            code,
            took: asked.began.elapsed(),
            received: 0,
            sent: 0,
            trace_id: known.trace_id,
            token: known.token,
        }
        .write();
        response
    }

    /// Answers what is no call.
    #[cold]
    fn other(&self, asked: &Asked<'_>, body: &Incoming) -> Response<Body> {
        let get = matches!(asked.head.method, Method::GET | Method::HEAD);
        let refusal = match asked.head.uri.path() {
            "/healthz" if get => return plain(StatusCode::OK, "ok\n"),
            "/readyz" if get => {
                let (status, text) = self.health.ready(&self.modules);
                return plain(status, text);
            }
            "/healthz" | "/readyz" => Refusal::MethodNotAllowed("GET, HEAD"),
            _ => Refusal::NotFound,
        };
        let trace_id = self.traces.of(&asked.head.headers).trace_id;
        let known = Known { module: "", token: "-", trace_id };
        self.refuse(asked, &known, &refusal, Some(body))
    }
}

/// Notes a call whose client goes away before the answer: then the call is dropped, and its guest
/// is ended.
struct Watched<'a> {
    calls: &'a Calls,
    asked: &'a Asked<'a>,
    known: &'a Known<'a>,
    received: usize,
    over: bool,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.gone();
        }
    }
}

impl Watched<'_> {
    #[cold]
    fn gone(&self) {
        let code = "client_gone";
        if self.calls.modules.get(self.known.module).is_some() {
            self.calls.meters.count_without(self.known.module, code);
        }
        Line {
            method: &self.asked.head.method,
            path: self.asked.head.uri.path(),
            // No answer is sent. Logs of other servers have this number, too.
            status: StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            module: self.known.module,
            digest: None,
            code,
            took: self.asked.began.elapsed(),
            received: self.received,
            sent: 0,
            trace_id: self.known.trace_id,
            token: self.known.token,
        }
        .write();
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Whole(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Writes where the time went, in milliseconds with three places.
fn server_timing(timing: Timing) -> HeaderValue {
    let Timing { queue, guest } = timing;
    let micros = |time: std::time::Duration| (time.as_millis(), time.subsec_micros() % 1000);
    let ((queue, queue_us), (guest, guest_us)) = (micros(queue), micros(guest));
    let text = format!("queue;dur={queue}.{queue_us:03}, guest;dur={guest}.{guest_us:03}");
    // Digits and punctuation are a value.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn server_timing_is_in_milliseconds() {
        let timing = Timing { queue: Duration::from_micros(12), guest: Duration::from_nanos(1_002_034_567) };
        assert_eq!(server_timing(timing), "queue;dur=0.012, guest;dur=1002.034");
        assert_eq!(server_timing(Timing::default()), "queue;dur=0.000, guest;dur=0.000");
    }
}
