//! The two ports of a server, from opening to closing.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::accept::{Bounds, Port};
use super::admin::{Admin, Shared};
use super::auth::Auth;
use super::body;
use super::calls::Calls;
use super::connection::Patience;
use super::health::Health;
use super::terms::Traces;
use super::tls::Tls;
use crate::config::Config;
use crate::deployment::Modules;
use crate::meters::Meters;

/// The longest wait for one more request on a silent connection when the server stops.
const LINGER: Duration = Duration::from_secs(1);
/// How often recorded times are folded into buckets.
const FOLD: Duration = Duration::from_secs(5);

/// Why the ports cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on.
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The files of TLS are no good. The text names the file.
    Tls(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { key, address, source } => {
                write!(f, "cannot listen on {address}: {source} (choose another address with {key})")
            }
            Self::Tls(text) => write!(f, "{text} (set by http.tls)"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } => Some(source),
            Self::Tls(_) => None,
        }
    }
}

/// Ports that are listened on, but not answered yet. Clients that come wait.
#[derive(Debug)]
pub struct Sockets {
    calls: TcpListener,
    admin: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl Sockets {
    /// Listens on both addresses, and reads the files of TLS. That comes before modules are
    /// compiled, so that a wrong address is told at once.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn listen(config: &Config) -> Result<Self, StartError> {
        let http = &config.http;
        let tls = http.tls.as_ref().map(Tls::load).transpose().map_err(StartError::Tls)?.map(Arc::new);
        let calls = listen("http.listen", http.listen).await?;
        let admin = listen("http.admin", http.admin).await?;
        Ok(Self { calls, admin, tls })
    }
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { key, address, source })
}

/// The two ports of a server.
pub struct Servers {
    calls: Port,
    admin: Port,
    auth: Arc<ArcSwap<Auth>>,
    bounds: Arc<ArcSwap<body::Bounds>>,
    health: Arc<Health>,
    /// Ends the streams of the admin API.
    stop: watch::Sender<bool>,
    chores: Vec<AbortHandle>,
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers")
            .field("calls", &self.calls)
            .field("admin", &self.admin)
            .finish_non_exhaustive()
    }
}

impl Servers {
    /// Answers what comes to the ports. `metrics` renders what the recorder of
    /// [`meters::recorder`](crate::meters::recorder) keeps.
    ///
    /// # Errors
    /// The system does not tell an address.
    pub fn start(
        sockets: Sockets,
        config: &Config,
        modules: Modules,
        metrics: Option<PrometheusHandle>,
    ) -> io::Result<Self> {
        let auth = Arc::new(ArcSwap::from_pointee(Auth::new(config.auth.as_ref())));
        let bounds = Arc::new(ArcSwap::from_pointee(body_bounds(config)));
        let (health, meters) = (Arc::new(Health::default()), Arc::new(Meters::new(metrics)));
        let calls = Arc::new(Calls {
            modules: modules.clone(),
            auth: Arc::clone(&auth),
            bounds: Arc::clone(&bounds),
            meters: Arc::clone(&meters),
            health: Arc::clone(&health),
            traces: Traces::new(),
        });
        let (stop, _) = watch::channel(false);
        let admin = Arc::new(Admin::new(Shared {
            modules,
            auth: Arc::clone(&auth),
            meters: Arc::clone(&meters),
            health: Arc::clone(&health),
            patience: config.http.idle_timeout,
            stop: stop.clone(),
            began: Instant::now(),
        }));
        let mut chores = Vec::new();
        if let Some(tls) = &sockets.tls {
            chores.push(tokio::spawn(Arc::clone(tls).follow()).abort_handle());
        }
        chores.push(tokio::spawn(fold(meters)).abort_handle());
        let calls = Port::open(sockets.calls, sockets.tls.clone(), port_bounds(config, "calls"), calls)?;
        let admin = Port::open(sockets.admin, sockets.tls, port_bounds(config, "admin"), admin)?;
        Ok(Self { calls, admin, auth, bounds, health, stop, chores })
    }

    /// Takes over what a new configuration says about tokens and bodies. Addresses, certificates'
    /// paths and bounds of connections hold until the server starts again.
    pub fn reload(&self, config: &Config) {
        self.auth.store(Arc::new(Auth::new(config.auth.as_ref())));
        self.bounds.store(Arc::new(body_bounds(config)));
    }

    /// Returns the address for calls.
    #[must_use]
    pub fn calls(&self) -> SocketAddr {
        self.calls.address()
    }

    /// Returns the address for operators.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Makes `/readyz` say that the server stops. Everything is answered as before.
    pub fn unready(&self) {
        self.health.stop();
    }

    /// Closes the port for calls first, then that for operators: accepts no more, answers what was
    /// accepted, and ends every connection. Returns how many connections were cut off at the
    /// deadline.
    pub async fn close(self, deadline: Instant) -> usize {
        self.unready();
        let mut cut = self.calls.close(deadline).await;
        // Operators see the calls end.
        self.stop.send_replace(true);
        cut += self.admin.close(deadline).await;
        for chore in self.chores {
            chore.abort();
        }
        cut
    }
}

fn body_bounds(config: &Config) -> body::Bounds {
    body::Bounds { bytes: config.http.body, time: config.http.idle_timeout }
}

fn port_bounds(config: &Config, name: &'static str) -> Bounds {
    let http = &config.http;
    let linger = LINGER.min(config.server.drain / 4);
    let patience = Patience { header: http.header_timeout, idle: http.idle_timeout, linger };
    Bounds { name, patience, connections: http.connections }
}

async fn fold(meters: Arc<Meters>) {
    let mut turns = tokio::time::interval(FOLD);
    loop {
        turns.tick().await;
        meters.fold();
    }
}
