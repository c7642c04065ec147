//! TLS: who gets in, and certificates that change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use antiphon_server::config::Tls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::harness::{Ask, LONG, Server, ends};

/// An authority that signs certificates for `localhost`.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Returns a certificate and its key, in PEM.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn write(&self, folder: &Path) {
        let (cert, key) = self.issue();
        std::fs::write(folder.join("tls.key"), key).unwrap();
        std::fs::write(folder.join("tls.crt"), cert).unwrap();
    }

    /// Makes a client that trusts this authority.
    fn client(&self, own: Option<(String, String)>, alpn: &[&str]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![cert], key).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

async fn connect(server: &Server, client: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(server.calls).await.unwrap();
    client.connect("localhost".try_into().unwrap(), socket).await
}

async fn serve(folder: &Path, client_ca: Option<&Authority>) -> Server {
    let mut tls = Tls::default();
    (tls.cert, tls.key) = (folder.join("tls.crt"), folder.join("tls.key"));
    if let Some(authority) = client_ca {
        tls.client_ca = Some(folder.join("clients.pem"));
        std::fs::write(folder.join("clients.pem"), authority.0.pem()).unwrap();
    }
    Server::empty(|config| {
        config.http.header_timeout = Duration::from_secs(2);
        config.http.tls = Some(tls);
    })
    .await
}

#[tokio::test]
async fn alpn_decides_the_version_of_http() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write(folder.path());
    let server = serve(folder.path(), None).await;
    for alpn in [&[][..], &["http/1.1"]] {
        let mut socket = connect(&server, &authority.client(None, alpn)).await.unwrap();
        for _ in 0..3 {
            assert_eq!(Ask::new("GET", "/healthz").on(&mut socket).await.status, 200);
        }
    }
    let socket = connect(&server, &authority.client(None, &["h2", "http/1.1"])).await.unwrap();
    assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = hyper_util::rt::TokioIo::new(socket);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let request = http::Request::get("https://localhost/healthz");
        let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    }
    // An idle connection of HTTP/2 outlives the header timeout.
    sleep(Duration::from_secs(3)).await;
    let request = http::Request::post("https://localhost/v1/modules/m/operations/o");
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    let answered = sender.send_request(request).await.unwrap();
    assert_eq!(answered.status(), 404);
    assert_eq!(answered.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn streams_that_are_reset_at_once_cost_the_others_nothing() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write(folder.path());
    let server = serve(folder.path(), None).await;
    let client = authority.client(None, &["h2"]);
    let empty = http_body_util::Empty::<bytes::Bytes>::new;
    for _ in 0..20 {
        let io = hyper_util::rt::TokioIo::new(connect(&server, &client).await.unwrap());
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        let connection = tokio::spawn(connection);
        for _ in 0..500 {
            if sender.ready().await.is_err() {
                break;
            }
            let request = http::Request::post("https://localhost/v1/modules/m/operations/o");
            // Sent, and then reset.
            let mut answer = Box::pin(sender.send_request(request.body(empty()).unwrap()));
            let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(answer.as_mut().poll(cx))).await;
            tokio::task::yield_now().await;
        }
        connection.abort();
    }
    let mut socket = connect(&server, &authority.client(None, &[])).await.unwrap();
    assert_eq!(Ask::new("GET", "/healthz").on(&mut socket).await.status, 200);
}

#[tokio::test]
async fn clients_need_a_certificate_of_the_authority_if_one_is_set() {
    let (folder, authority, clients) = (tempfile::tempdir().unwrap(), Authority::new(), Authority::new());
    authority.write(folder.path());
    let server = serve(folder.path(), Some(&clients)).await;
    let mut socket = connect(&server, &authority.client(Some(clients.issue()), &[])).await.unwrap();
    assert_eq!(Ask::new("GET", "/healthz").on(&mut socket).await.status, 200);
    for own in [None, Some(authority.issue())] {
        // In TLS 1.3 the refusal comes after the client's handshake.
        let entered = match connect(&server, &authority.client(own, &[])).await {
            Ok(mut socket) => {
                use tokio::io::AsyncWriteExt as _;
                let _ = socket.write_all(&Ask::new("GET", "/healthz").bytes()).await;
                !ends(&mut socket).await.1.is_empty()
            }
            Err(_) => false,
        };
        assert!(!entered, "a client without a certificate of the authority got an answer");
    }
}

#[tokio::test]
async fn a_new_certificate_holds_for_new_connections_and_a_broken_one_changes_nothing() {
    let (folder, old, new) = (tempfile::tempdir().unwrap(), Authority::new(), Authority::new());
    old.write(folder.path());
    let server = serve(folder.path(), None).await;
    let (trusts_old, trusts_new) = (old.client(None, &[]), new.client(None, &[]));
    let mut before = connect(&server, &trusts_old).await.unwrap();
    assert_eq!(Ask::new("GET", "/healthz").on(&mut before).await.status, 200);
    // Broken files, and files that do not fit together: the old ones serve on.
    let (cert, key) = new.issue();
    std::fs::write(folder.path().join("tls.crt"), "no certificate").unwrap();
    sleep(Duration::from_millis(1200)).await;
    connect(&server, &trusts_old).await.unwrap();
    std::fs::write(folder.path().join("tls.crt"), cert).unwrap();
    sleep(Duration::from_millis(1200)).await;
    connect(&server, &trusts_old).await.unwrap();
    std::fs::write(folder.path().join("tls.key"), key).unwrap();
    let until = Instant::now() + LONG;
    while connect(&server, &trusts_new).await.is_err() {
        assert!(Instant::now() < until, "the new certificate never held");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(connect(&server, &trusts_old).await.is_err());
    // The connection of before lives on.
    assert_eq!(Ask::new("GET", "/healthz").on(&mut before).await.status, 200);
}

#[tokio::test]
async fn a_handshake_that_never_comes_ends_after_the_header_timeout() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write(folder.path());
    let server = serve(folder.path(), None).await;
    let mut silent = TcpStream::connect(server.calls).await.unwrap();
    // Others get in meanwhile.
    let mut socket = connect(&server, &authority.client(None, &[])).await.unwrap();
    assert_eq!(Ask::new("GET", "/healthz").on(&mut socket).await.status, 200);
    let (took, came) = ends(&mut silent).await;
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(7), "{took:?}");
    assert_eq!(came, b"");
    let clear = TcpStream::connect(server.calls).await.unwrap();
    let mut clear = clear;
    use tokio::io::AsyncWriteExt as _;
    clear.write_all(&Ask::new("GET", "/healthz").bytes()).await.unwrap();
    let (_, came) = ends(&mut clear).await;
    assert!(!came.starts_with(b"HTTP"), "cleartext was answered on a port of TLS");
}
