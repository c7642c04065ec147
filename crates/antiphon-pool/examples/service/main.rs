//! A service: HTTP in front of a pool of guests, with metrics, and with a new module while it runs.
//!
//! ```console
//! $ cargo run -p antiphon-pool --features metrics --example service -- guests/built/rust.wasm
//! $ curl --data 'hello' http://127.0.0.1:8080/echo
//! $ curl --upload-file guests/built/c.wasm http://127.0.0.1:8080/module
//! $ curl http://127.0.0.1:8080/metrics
//! ```

use std::time::Duration;

use antiphon_host::errors::{BoxError, Fault, Phase};
use antiphon_host::{Error, ErrorKind, HostRouter, Limits, Module, Request, Route, handler_fn};
use antiphon_pool::HostPool;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// What the handlers of requests share.
#[derive(Clone)]
struct Service {
    pool: HostPool,
    metrics: PrometheusHandle,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "guests/built/rust.wasm".to_owned());
    let address = std::env::args().nth(2).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    // The recorder comes first: a pool takes the one that is installed when it is built.
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let pool = pool(&Module::open(path)?).await?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let service = Service { pool: pool.clone(), metrics };
    axum::serve(listener, routes(service)).with_graceful_shutdown(interrupted()).await?;
    let drained = pool.drain(Duration::from_secs(10)).await;
    println!("{} calls were cut off", drained.running + drained.queued);
    Ok(())
}

/// Builds the pool: at most eight instances, at most a hundred calls that wait for one.
async fn pool(module: &Module) -> antiphon_host::Result<HostPool> {
    // What guests may ask of this program. Any other host call is refused.
    let router = HostRouter::new().route(
        Route::any()
            .namespace("sample")
            .operation("echo")
            .max_calls(20)
            .handler(handler_fn(|call| Ok([b"the host heard ", call.payload].concat().into()))),
    );
    HostPool::builder(module.factory().clone())
        .name("service")
        .max(8)
        .queue(100)
        .limits(Limits::new().memory(32 << 20).deadline(Duration::from_millis(500)).request(64 << 10))
        .handler(router)
        .build()
        .await
}

fn routes(service: Service) -> Router {
    // A module is larger than a request. In production the route `/module` belongs behind
    // authentication, or on a port of its own.
    let modules = put(replace).layer(DefaultBodyLimit::max(16 << 20));
    Router::new()
        .route("/module", modules)
        .route("/metrics", get(async |State(service): State<Service>| service.metrics.render()))
        .route("/{operation}", post(call).layer(DefaultBodyLimit::max(64 << 10)))
        .with_state(service)
}

/// Answers `POST /OPERATION`: the body is the payload.
async fn call(State(service): State<Service>, Path(operation): Path<String>, payload: Bytes) -> Response {
    match service.pool.call_with(Request::new(&operation, payload)).await {
        Ok(answer) => answer.payload.into_response(),
        Err(error) => {
            let status = status(&error);
            // The code is stable and for programs; the text is for people.
            let body = format!("{}: {error}\n", error.code());
            match status {
                StatusCode::SERVICE_UNAVAILABLE => {
                    (status, [(header::RETRY_AFTER, "1")], body).into_response()
                }
                _ => (status, body).into_response(),
            }
        }
    }
}

/// Answers `PUT /module`: the body is the module that serves from now on. Calls that run are not
/// disturbed. A module that is refused changes nothing.
async fn replace(State(service): State<Service>, module: Bytes) -> Response {
    match service.pool.replace(&module).await {
        Ok(version) => format!("version {version} serves\n").into_response(),
        Err(error) => (StatusCode::CONFLICT, format!("{}: {error}\n", error.code())).into_response(),
    }
}

/// Returns the status of an error. 4xx: the caller or the guest's answer to it. 502: the guest
/// broke a rule or a limit. 503: try again. 504: the time is up. 500: this program.
fn status(error: &Error) -> StatusCode {
    match error.kind() {
        ErrorKind::GuestFailed => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::TooLarge if error.fault() == Fault::Caller => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::DeadlineExceeded if error.phase() == Some(Phase::Queue) => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Overloaded | ErrorKind::InitFailed | ErrorKind::OutOfResources => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorKind::Reentrancy => StatusCode::LOOP_DETECTED,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        _ if error.fault() == Fault::Guest => StatusCode::BAD_GATEWAY,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Waits for Ctrl-C.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler of signals the service runs until it is killed.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
