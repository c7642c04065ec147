//! The accept loop: connections bounded, silent ones ended, the rest handed to hyper.
//!
//! A connection over the limit is not accepted: it waits in the system's queue, where it costs
//! those inside nothing, until a place is free. Each place is free again in bounded time, because
//! [`connection`](super::connection) bounds whatever a client can delay.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use metrics::Gauge;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, error, info};

use super::body::Body;
use super::connection::{Drive, Patience, Watch, Wire, drive};
use super::tls::Tls;
use crate::outcome::{About, Problem, Refusal};

/// The most bytes of a request's line and headers.
const HEADERS: usize = 16 << 10;
/// The most headers.
const HEADER_COUNT: usize = 64;
/// The most requests at once on a connection of HTTP/2.
const STREAMS: u32 = 64;
/// The most streams that a client may reset before they were looked at, and that the server resets
/// for errors of the client, before the connection ends.
const RESETS: usize = 32;
/// The pauses after an error of the system in accepting.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// What answers the requests of a port.
pub(super) trait Service: Send + Sync + 'static {
    /// Answers a request. `connection` is the one that it came on.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<Watch>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// What a port allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The port's name in metrics.
    pub(super) name: &'static str,
    pub(super) patience: Patience,
    pub(super) connections: usize,
}

/// A port that is open: its connections, and how to close it.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    open: Arc<Open>,
    task: tokio::task::JoinHandle<()>,
}

/// The connections of a port.
#[derive(Debug)]
struct Open {
    /// A permit for each connection that may still come.
    places: Arc<Semaphore>,
    limit: u32,
    next: AtomicU64,
    watches: Mutex<HashMap<u64, Arc<Watch>>>,
    gauge: Gauge,
}

impl Open {
    fn watches(&self) -> MutexGuard<'_, HashMap<u64, Arc<Watch>>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that has a place, until it is dropped.
struct Place {
    open: Arc<Open>,
    number: u64,
    watch: Arc<Watch>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(open: &Arc<Open>, permit: OwnedSemaphorePermit, patience: Patience) -> Self {
        let (number, watch) = (open.next.fetch_add(1, Ordering::Relaxed), Arc::new(Watch::new(patience)));
        open.watches().insert(number, Arc::clone(&watch));
        open.gauge.increment(1.0);
        Self { open: Arc::clone(open), number, watch, _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.watches().remove(&self.number);
        self.open.gauge.decrement(1.0);
    }
}

impl Port {
    /// Opens a port: from here on its connections are answered.
    ///
    /// # Errors
    /// The system does not tell the listener's address.
    pub(super) fn open<S: Service>(
        listener: TcpListener,
        tls: Option<Arc<Tls>>,
        bounds: Bounds,
        service: Arc<S>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let limit = u32::try_from(bounds.connections.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let open = Arc::new(Open {
            places: Arc::new(Semaphore::new(limit as usize)),
            limit,
            next: AtomicU64::new(0),
            watches: Mutex::default(),
            gauge: metrics::gauge!("antiphon_server_connections", "port" => bounds.name),
        });
        let (stop, stopped) = watch::channel(false);
        let door = Door { open: Arc::clone(&open), tls, patience: bounds.patience, service };
        let task = tokio::spawn(accept(listener, door, stopped));
        Ok(Self { address, stop, open, task })
    }

    /// Returns the address that it listens on.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port: accepts what is in the system's queue, answers what was accepted, and ends
    /// every connection. Returns how many it had to cut off at the deadline.
    pub(super) async fn close(self, deadline: Instant) -> usize {
        self.stop.send_replace(true);
        if timeout_at(deadline, self.task).await.is_err() {
            debug!("the accept loop of {} did not end in time", self.address);
        }
        for watch in self.open.watches().values() {
            watch.close();
        }
        // Every connection holds a place.
        let all = Arc::clone(&self.open.places).acquire_many_owned(self.open.limit);
        if timeout_at(deadline, all).await.is_ok() {
            return 0;
        }
        let watches = self.open.watches();
        for watch in watches.values() {
            watch.kill();
        }
        watches.len()
    }
}

/// What every connection of a port shares.
struct Door<S> {
    open: Arc<Open>,
    tls: Option<Arc<Tls>>,
    patience: Patience,
    service: Arc<S>,
}

async fn accept<S: Service>(listener: TcpListener, door: Door<S>, mut stopped: watch::Receiver<bool>) {
    let mut trouble = Trouble::default();
    loop {
        let next = async {
            let permit = Arc::clone(&door.open.places).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        // The semaphore is never closed.
        let (Ok(permit), socket) = accepted else { return };
        match socket {
            Ok((socket, _)) => {
                trouble.over();
                door.enter(socket, permit);
            }
            Err(error) => sleep(trouble.pause(&error)).await,
        }
    }
    // Clients that the system has already let in may have sent a request.
    while let Ok(permit) = Arc::clone(&door.open.places).try_acquire_owned() {
        match timeout(Duration::ZERO, listener.accept()).await {
            Ok(Ok((socket, _))) => door.enter(socket, permit),
            _ => break,
        }
    }
}

/// Errors of the system in accepting, as long as they last.
#[derive(Default)]
struct Trouble(Option<Duration>);

impl Trouble {
    /// Returns how long to wait. The first error of a row is logged.
    fn pause(&mut self, error: &io::Error) -> Duration {
        // The client went away before it was accepted: nothing is wrong here.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionRefused
        ) {
            return Duration::ZERO;
        }
        if self.0.is_none() {
            error!(
                %error,
                "no connection can be accepted; if files ran out, raise their limit (`ulimit -n`) or lower http.connections"
            );
        }
        let pause = self.0.map_or(PAUSES.0, |last| (last * 2).min(PAUSES.1));
        self.0 = Some(pause);
        pause
    }

    fn over(&mut self) {
        if self.0.take().is_some() {
            info!("connections are accepted again");
        }
    }
}

impl<S: Service> Door<S> {
    fn enter(&self, socket: TcpStream, permit: OwnedSemaphorePermit) {
        let place = Place::new(&self.open, permit, self.patience);
        let tls = self.tls.as_ref().map(|tls| tls.acceptor());
        let (service, patience) = (Arc::clone(&self.service), self.patience);
        tokio::spawn(async move {
            // An answer goes out in one piece or is large: waiting for more only delays it.
            let _ = socket.set_nodelay(true);
            let Some(acceptor) = tls else {
                return http1(socket, &place.watch, service).await;
            };
            match timeout(patience.header, acceptor.accept(socket)).await {
                Ok(Ok(socket)) if socket.get_ref().1.alpn_protocol() == Some(b"h2") => {
                    http2(socket, &place.watch, service).await;
                }
                Ok(Ok(socket)) => http1(socket, &place.watch, service).await,
                Ok(Err(error)) => debug!(%error, "a client failed in the handshake of TLS"),
                Err(_) => debug!("a client was too slow in the handshake of TLS"),
            }
        });
    }
}

type Reply = Result<Response<Body>, Infallible>;

async fn answer<S: Service>(service: Arc<S>, request: Request<Incoming>, watch: Arc<Watch>) -> Reply {
    let running = watch.running();
    let old = request.version() < Version::HTTP_2;
    let mut response = if names_one_host(&request) {
        service.answer(request, Arc::clone(&watch)).await
    } else {
        watch.leave_unread();
        let refusal = Refusal::BadHeader("Host", "has to be there once".into());
        Problem::of_refusal(&refusal, About::default()).into_response(Body::from)
    };
    if old && watch.is_last() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    drop(running);
    Ok(response)
}

/// Returns whether a request names one host, as HTTP/1.1 asks for. One with two may mean different
/// things to a proxy and to this server.
fn names_one_host(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let first = hosts.next();
    hosts.next().is_none() && (first.is_some() || request.version() != Version::HTTP_11)
}

async fn http1<IO, S>(socket: IO, watch: &Arc<Watch>, service: Arc<S>)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service,
{
    let io = TokioIo::new(Wire::new(socket, Arc::clone(watch)));
    let connection = http1::Builder::new()
        // The watch bounds headers and silence together.
        .header_read_timeout(None)
        .max_headers(HEADER_COUNT)
        .max_header_size(HEADERS)
        .serve_connection(io, service_fn(|request| answer(Arc::clone(&service), request, Arc::clone(watch))));
    drive(connection, watch).await;
}

async fn http2<IO, S>(socket: IO, watch: &Arc<Watch>, service: Arc<S>)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service,
{
    watch.set_streams();
    let io = TokioIo::new(Wire::new(socket, Arc::clone(watch)));
    let owned = Arc::clone(watch);
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEADERS).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        // A client that is gone without a word is noticed.
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(Duration::from_secs(10))
        .serve_connection(
            io,
            service_fn(move |request| answer(Arc::clone(&service), request, Arc::clone(&owned))),
        );
    drive(connection, watch).await;
}

impl<IO, S> Drive for http1::Connection<TokioIo<Wire<IO>>, S>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<IO, S> Drive for http2::Connection<TokioIo<Wire<IO>>, S, TokioExecutor>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_files_makes_the_pauses_longer_until_a_connection_comes() {
        let mut trouble = Trouble::default();
        let lack = io::Error::from_raw_os_error(24);
        let pauses: Vec<_> = (0..8).map(|_| trouble.pause(&lack).as_millis()).collect();
        assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1000, 1000]);
        trouble.over();
        assert_eq!(trouble.pause(&lack), PAUSES.0);
        // A client that gave up is no trouble.
        assert_eq!(trouble.pause(&io::ErrorKind::ConnectionAborted.into()), Duration::ZERO);
    }
}
