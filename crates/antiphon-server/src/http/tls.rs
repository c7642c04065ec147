//! TLS: certificates from files, read again when they change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::config;

/// How often the files are looked at. A look sees a link that points elsewhere, too.
const LOOK: Duration = Duration::from_millis(500);

/// The certificates that new connections are offered.
pub(super) struct Tls {
    files: config::Tls,
    current: ArcSwap<ServerConfig>,
    /// The files as they were when they were read last, well or not.
    seen: Mutex<Stamp>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// When the files changed and how large they are.
type Stamp = Vec<Option<(SystemTime, u64)>>;

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, or the files do not fit together. The text names the file.
    pub(super) fn load(files: &config::Tls) -> Result<Self, String> {
        // The stamp is older than what is read, so that a change in between is seen.
        let seen = Mutex::new(stamp(files));
        let current = ArcSwap::from_pointee(server_config(files)?);
        Ok(Self { files: files.clone(), current, seen })
    }

    /// Returns what accepts the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Reads the files again if they have changed. Connections keep what they were made with. If
    /// the new files are no good, the old ones serve on.
    pub(super) fn refresh(&self) {
        let now = stamp(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return;
        }
        *seen = now;
        match server_config(&self.files) {
            Ok(config) => {
                self.current.store(Arc::new(config));
                info!(cert = %self.files.cert.display(), "new connections get the new certificate");
            }
            Err(error) => warn!(error, "the certificate before serves on, because the new one is no good"),
        }
    }

    /// Looks at the files until the server ends.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let tls = Arc::clone(&self);
            // Files may be on a slow disk.
            let _ = tokio::task::spawn_blocking(move || tls.refresh()).await;
        }
    }
}

fn paths(files: &config::Tls) -> impl Iterator<Item = &PathBuf> {
    [&files.cert, &files.key].into_iter().chain(files.client_ca.as_ref())
}

fn stamp(files: &config::Tls) -> Stamp {
    let stamp = |path: &PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    paths(files).map(stamp).collect()
}

fn server_config(files: &config::Tls) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no version of TLS is at hand: {error}"))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| format!("{}: {error}", path.display()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| format!("{}: no private key in PEM: {error}", files.key.display()))?;
    let mut config = builder.with_single_cert(certificates(&files.cert)?, key).map_err(|error| {
        format!("{} and {} do not fit together: {error}", files.cert.display(), files.key.display())
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error| format!("{}: no certificate in PEM: {error}", path.display());
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)?;
    if found.is_empty() {
        return Err(format!("{}: the file has no certificate in PEM", path.display()));
    }
    Ok(found)
}
