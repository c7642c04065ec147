//! Connects to addresses that were checked, and to no others.
//!
//! A name is resolved once for a connection. What is connected to is one of the addresses of that
//! answer that passed the guard, never the name. So a second answer that differs has no effect.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon::{async_trait, ticker};
use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::guard::Guard;
use super::origin::Host;
use crate::{Code, Fault};

/// How many addresses of a name are tried, one after the other.
const TRIED: usize = 4;
/// How long one address is tried while others are left.
const PATIENCE: Duration = Duration::from_secs(2);

/// Resolves names for the requests of guests.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// Returns the addresses of a name, those to try first in front. Called once for a connection,
    /// on the runtime of the client. The name is hostile: ASCII letters, digits, `-`, `_` and `.`.
    ///
    /// # Errors
    /// The name has no address, or the resolver cannot be reached.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the machine.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // The resolver asks for a port, and hands it back.
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Makes the connections of one grant.
#[derive(Clone)]
pub(super) struct Connect(Arc<Parts>);

struct Parts {
    guard: Guard,
    resolver: Arc<dyn Resolve>,
}

impl Connect {
    pub(super) fn new(guard: Guard, resolver: Arc<dyn Resolve>) -> Self {
        Self(Arc::new(Parts { guard, resolver }))
    }
}

impl tower_service::Service<Uri> for Connect {
    type Response = TokioIo<TcpStream>;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Fault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let parts = Arc::clone(&self.0);
        Box::pin(async move { parts.connect(&uri).await })
    }
}

impl Parts {
    async fn connect(&self, uri: &Uri) -> Result<TokioIo<TcpStream>, Fault> {
        let (Some(host), Some(port)) = (uri.host().and_then(Host::parse), uri.port_u16()) else {
            return Err(Fault::invalid("the URL has no host and no port"));
        };
        let addresses = self.addresses(&host).await?;
        let last = addresses.len().saturating_sub(1);
        let mut failed = None;
        for (place, address) in addresses.into_iter().enumerate() {
            let connecting = TcpStream::connect(SocketAddr::new(address, port));
            let connected = if place == last {
                connecting.await
            } else {
                let late = || Err(io::ErrorKind::TimedOut.into());
                ticker::within(PATIENCE, connecting).await.unwrap_or_else(late)
            };
            match connected {
                Ok(stream) => {
                    // Requests are written whole; waiting for more would only delay them.
                    let _ = stream.set_nodelay(true);
                    return Ok(TokioIo::new(stream));
                }
                Err(error) => failed = Some(error),
            }
        }
        let why = failed.map_or_else(|| "it has no address".into(), |error| error.to_string());
        Err(Fault::new(Code::Unavailable, format!("cannot connect to {host}, port {port}: {why}")))
    }

    /// Returns the addresses of a host that may be connected to.
    async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, Fault> {
        let found = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.resolver.resolve(name).await.map_err(|error| {
                Fault::new(Code::Unavailable, format!("the name {name} cannot be resolved: {error}"))
            })?,
        };
        let checked = found.iter().map(|address| self.guard.check(*address));
        let addresses: Vec<_> = checked.clone().filter_map(Result::ok).take(TRIED).collect();
        if !addresses.is_empty() {
            return Ok(addresses);
        }
        // The kind, not the address: that is none of the guest's business.
        match checked.filter_map(Result::err).next() {
            Some(kind) => {
                let text = format!(
                    "{host} leads to a {kind} address, which guests may not connect to; \
                     allow_addresses of the http grant can name its network"
                );
                Err(Fault::new(Code::ForbiddenAddress, text))
            }
            None => Err(Fault::new(Code::Unavailable, format!("the name {host} has no address"))),
        }
    }
}
