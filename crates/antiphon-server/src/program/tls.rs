//! TLS of a client that knows its server's authority.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::args::ServerArgs;
use super::failure::Failure;

/// Makes what opens connections with TLS.
pub(crate) fn connector(args: &ServerArgs) -> Result<TlsConnector, Failure> {
    let Some(ca) = &args.ca else {
        let text = "an https: address needs --ca, the file with the authorities of the server's certificate";
        return Err(Failure::usage(text, None));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| wrong(ca, &error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::system("no version of TLS is at hand", &error))?
        .with_root_certificates(roots);
    let config = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => {
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
            builder
                .with_client_auth_cert(certificates(cert)?, private)
                .map_err(|error| wrong(cert, &error))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(path, &error))?;
    read.collect::<Result<_, _>>().map_err(|error| wrong(path, &error))
}

fn wrong(path: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::usage(format!("cannot use {}", path.display()), Some(error))
}
