//! What the requests of all guests share: a runtime, TLS, and names.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::connect::{Resolve, SystemResolver};

/// Sends the requests of guests: over HTTP/1.1, with TLS 1.2 and 1.3, and never through a proxy.
///
/// A clone shares everything but connections, which each grant has for itself.
#[derive(Clone)]
#[must_use = "a client does nothing until it is among the backends"]
pub struct HttpClient {
    pub(super) runtime: Handle,
    roots: Arc<RootCertStore>,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) resolver: Arc<dyn Resolve>,
}

impl HttpClient {
    /// Creates a client that trusts the certificate authorities of the machine, or those of the
    /// files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. It reads them now. Its requests run on a
    /// runtime of tokio with I/O and time, whatever executor the guests run on.
    ///
    /// The guest of a synchronous host parks its thread while it waits. That must not be the only
    /// thread of the runtime.
    ///
    /// # Errors
    /// The machine has no authority that can be read.
    pub fn new(runtime: Handle) -> io::Result<Self> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let text = "the machine has no certificate authorities; install them (Debian: ca-certificates), \
                        or name a file of them in SSL_CERT_FILE";
            return Err(match found.errors.into_iter().next() {
                Some(error) => io::Error::other(format!("{text}: {error}")),
                None => io::Error::new(io::ErrorKind::NotFound, text),
            });
        }
        Self::of(runtime, roots)
    }

    /// Creates a client that trusts only the authority with this certificate, in DER.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn trusting(runtime: Handle, authority: &[u8]) -> io::Result<Self> {
        Self::of(runtime, RootCertStore::empty())?.trust(authority)
    }

    /// Trusts one authority more, by its certificate in DER.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn trust(self, authority: &[u8]) -> io::Result<Self> {
        let mut roots = Arc::unwrap_or_clone(self.roots);
        roots.add(CertificateDer::from(authority.to_vec())).map_err(io::Error::other)?;
        let resolver = self.resolver;
        Ok(Self { resolver, ..Self::of(self.runtime, roots)? })
    }

    /// Sets what resolves names, instead of the machine's own resolver.
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    fn of(runtime: Handle, roots: RootCertStore) -> io::Result<Self> {
        let roots = Arc::new(roots);
        // Named, because a process may have no default provider, or one that was not chosen.
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(Arc::clone(&roots))
            .with_no_client_auth();
        Ok(Self { runtime, roots, tls: Arc::new(tls), resolver: Arc::new(SystemResolver) })
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("authorities", &self.roots.len()).finish_non_exhaustive()
    }
}
