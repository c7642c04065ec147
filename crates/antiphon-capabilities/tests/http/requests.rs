use std::sync::Arc;

use antiphon_capabilities::{Backends, HttpClient};
use antiphon_codec::{Codec, MessagePack};
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use crate::common::{ask, host as sync_host, host_async};
use crate::server::{Answer, Names, Server, answer, authority, code, get, host, host_trusting, request};

const LOOPBACK: &str = "allow_addresses = ['127.0.0.1/32']";

#[tokio::test]
async fn a_request_reaches_its_server_and_the_answer_its_guest() {
    let server =
        Server::start(|_| answer("201 Created", "X-A: 1\r\nX-A: 2\r\nX-L: \u{e9}\r\n", b"\xff\0")).await;
    let names = Names::default().with("api.test", "127.0.0.1");
    let port = server.port;
    let grant = format!("allow = ['http://*.test:{port}'], methods = ['POST', 'GET'], {LOOPBACK}");
    let host = host(&grant, &names).await;
    let asked = json!({
        "method": "POST",
        "url": format!("http://API.test:{port}/a/../b?c=%20#d"),
        "headers": [["Authorization", "token"], ["x-b", "1"], ["x-b", "2"]],
        "body": "hello",
    });
    let said = request(&host, asked).await.unwrap();
    assert_eq!(said["status"], 201);
    assert_eq!(said["body"], json!({"base64": "/wA="}));
    let expected = json!([["x-a", "1"], ["x-a", "2"], ["x-l", "é"], ["content-length", "2"]]);
    assert_eq!(said["headers"], expected);
    // The path goes out as it was written.
    let expected = format!(
        "POST /a/../b?c=%20 HTTP/1.1\r\nauthorization: token\r\nx-b: 1\r\nx-b: 2\r\n\
         user-agent: antiphon/{}\r\nhost: api.test:{port}\r\ncontent-length: 5\r\n\r\nhello",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(server.requests(), [expected]);

    // The connection is used again, and its name not asked for again.
    get(&host, format!("http://api.test:{port}/")).await.unwrap();
    assert_eq!((server.connections(), server.requests().len()), (1, 2));
    assert_eq!(names.asked(), ["api.test"]);
}

#[tokio::test]
async fn grants_share_no_connections() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let names = Names::default().with("api.test", "127.0.0.1");
    let allow = format!("allow = ['http://api.test:{}']", server.port);
    let url = format!("http://api.test:{}/", server.port);
    let [open, closed] = [host(&format!("{allow}, {LOOPBACK}"), &names).await, host(&allow, &names).await];
    get(&open, &url).await.unwrap();
    assert_eq!(code(&get(&closed, &url).await), "forbidden_address");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_of_a_synchronous_host_waits_on_its_own_thread() {
    let server = Server::start(|_| answer("200 OK", "", "fine")).await;
    let client = HttpClient::trusting(Handle::current(), &authority()).unwrap();
    // The machine's own resolver knows this name, and may give its address in IPv6 too.
    let url = format!("http://localhost:{}", server.port);
    let toml = format!("[[grant]]\nhttp = {{ allow = ['{url}'], {LOOPBACK} }}");
    let thread = std::thread::spawn(move || {
        let host = sync_host(&toml, &Backends::new().http(client));
        ask("http", "request").json(&host, json!({"url": url}))
    });
    let said = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    assert_eq!(said.unwrap()["body"], "fine");
}

fn acceptor(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let key = certificate.signing_key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn tls_is_spoken_and_certificates_are_checked_for_the_name() {
    let certificate = rcgen::generate_simple_self_signed(["api.test".into()]).unwrap();
    let server = Server::behind(Some(acceptor(&certificate)), |_| answer("200 OK", "", "safe")).await;
    let names = Names::default().with("api.test", "127.0.0.1").with("other.test", "127.0.0.1");
    let port = server.port;
    let grant = format!("allow = ['https://*.test:{port}'], {LOOPBACK}");

    let trusting = host_trusting(&grant, &names, certificate.cert.der()).await;
    assert_eq!(get(&trusting, format!("https://api.test:{port}/")).await.unwrap()["body"], "safe");
    let said = get(&trusting, format!("https://other.test:{port}/")).await;
    assert_eq!(code(&said), "unavailable");
    assert!(said.as_ref().unwrap_err().contains("certificate"), "{said:?}");

    let other = host(&grant, &names).await;
    let said = get(&other, format!("https://api.test:{port}/")).await;
    assert_eq!(code(&said), "unavailable");
    assert!(said.as_ref().unwrap_err().contains("certificate"), "{said:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_the_grant_does_not_allow_is_refused_before_anything_is_sent() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let names = Names::default().with("api.test", "127.0.0.1");
    let port = server.port;
    let host = host(&format!("allow = ['http://api.test:{port}'], request = '4B', {LOOPBACK}"), &names).await;
    let url = format!("http://api.test:{port}/");
    let header = |name: &str, value: &str| json!({"url": url, "headers": [[name, value]]});
    let many: Vec<_> = (0..65).map(|number| [format!("x-{number}"), String::new()]).collect();
    let mut cases = vec![
        (
            json!({"url": format!("https://api.test:{port}/")}),
            "not_granted: the http grant of this module does not allow https://api.test:",
        ),
        (
            json!({"url": "http://api.test/"}),
            "not_granted: the http grant of this module does not allow http://api.test:80; add it to its key allow",
        ),
        (
            json!({"url": format!("http://evil.test:{port}/")}),
            "not_granted: the http grant of this module does not allow http://evil.test:",
        ),
        (json!({"url": format!("http://api.test.evil.test:{port}/")}), "not_granted: "),
        (
            json!({"method": "POST", "url": url}),
            "not_granted: the http grant of this module does not allow the method POST; add it to its key methods",
        ),
        (
            json!({"method": "get", "url": url}),
            "not_granted: the http grant of this module does not allow the method get",
        ),
        (json!({"method": "G T", "url": url}), "invalid_request: \"G T\" is no method"),
        (json!({"url": url, "body": "12345"}), "too_large: the request's body has 5 of 4 bytes"),
        (json!({"url": url, "timeout_ms": 0}), "invalid_request: timeout_ms is 0"),
        (json!({"url": url, "proxy": "http://x"}), "invalid_request: json not decoded: at byte "),
        (json!({"method": "GET"}), "invalid_request: json not decoded: at byte "),
        (json!({"url": format!("http://api.test@10.0.0.1:{port}/")}), "invalid_request: the URL "),
        (
            json!({"url": url, "headers": many}),
            "too_large: a request has at most 64 headers of 16384 bytes together; this one has 65 of ",
        ),
        (header("x", &"y".repeat(16_384)), "too_large: a request has at most 64 headers"),
        (header("x\r\ny", "1"), "invalid_request: the header \"x\\r\\ny\" has no valid name"),
        (header("", "1"), "invalid_request: the header \"\" has no valid name"),
        (
            header("x", "1\r\ny: 2"),
            "invalid_request: the header \"x\" has a value that is not printable ASCII",
        ),
    ];
    for name in [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "Upgrade",
        "TE",
        "Trailer",
        "Expect",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Proxy-Authenticate",
    ] {
        cases.push((header(name, "1"), "invalid_request: the header \""));
    }
    for (asked, expected) in cases {
        let text = request(&host, asked.clone()).await.unwrap_err();
        assert!(text.starts_with(expected), "{asked}\n{text}\nis not {expected}");
    }
    assert_eq!((server.connections(), names.asked().len()), (0, 0));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let names = Names::default().with("empty.test", "").with("closed.test", "127.0.0.1");
    let host = host(&format!("allow = ['http://*.test:1'], {LOOPBACK}"), &names).await;
    for (name, expected) in [
        ("none", "unavailable: the name none.test cannot be resolved: no such name"),
        ("empty", "unavailable: the name empty.test has no address"),
        ("closed", "unavailable: cannot connect to closed.test, port 1: Connection refused"),
    ] {
        let text = get(&host, format!("http://{name}.test:1/")).await.unwrap_err();
        assert!(text.starts_with(expected), "{text}");
    }
}

/// The test runs itself once more, in a process whose environment names a proxy.
#[test]
fn proxies_of_the_environment_are_not_used() {
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        again.env(name, "http://127.0.0.1:1");
    }
    let name = "requests::a_request_reaches_its_server_and_the_answer_its_guest";
    let output = again.args(["--exact", name]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn an_answer_to_head_or_without_content_has_no_body() {
    let server = Server::start(|request| {
        if request.starts_with("HEAD") {
            Answer::Whole(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec())
        } else {
            Answer::Whole(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())
        }
    })
    .await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let host =
        host(&format!("allow = ['{url}'], methods = ['GET', 'HEAD'], {LOOPBACK}"), &Names::default()).await;
    for (method, status) in [("HEAD", 200), ("GET", 204)] {
        let said = request(&host, json!({"method": method, "url": url})).await.unwrap();
        assert_eq!((&said["status"], &said["body"]), (&json!(status), &json!("")));
    }
}

#[tokio::test]
async fn a_request_in_messagepack_is_answered_in_it() {
    #[derive(Serialize)]
    struct Asked<'a> {
        url: &'a str,
        method: &'a str,
        headers: &'a [(&'a str, &'a str)],
        #[serde(with = "serde_bytes")]
        body: &'a [u8],
    }
    #[derive(Deserialize)]
    struct Said {
        status: u16,
        headers: Vec<(String, String)>,
        body: serde_bytes::ByteBuf,
    }
    let server = Server::start(|_| answer("200 OK", "X-A: b\r\n", b"text")).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let host = host(&format!("allow = ['{url}'], methods = ['PUT'], {LOOPBACK}"), &Names::default()).await;
    let asked = Asked { url: &url, method: "PUT", headers: &[("x-b", "c")], body: b"\0\x01" };
    let asked = MessagePack.encode(&asked).unwrap();
    let said = ask("http", "request").of_async(&host, antiphon::Context::new(), asked).await.unwrap();
    let Said { status, headers, body } = MessagePack.decode(&said).unwrap();
    assert_eq!((status, &**body), (200, &b"text"[..]));
    assert_eq!(
        headers,
        [("x-a".into(), "b".into()), ("content-length".into(), "4".into())] as [(String, String); 2]
    );
    let request = server.requests().remove(0);
    assert!(request.contains("x-b: c\r\n") && request.ends_with("\r\n\r\n\0\x01"), "{request:?}");
}

const CHILD: &str = "ANTIPHON_TEST_PORT";

/// Runs in a process whose environment names the certificates.
#[tokio::test]
#[ignore = "the test below runs it"]
async fn a_child_asks_over_tls() {
    let port = std::env::var(CHILD).unwrap();
    let client = HttpClient::new(Handle::current()).map_err(|error| error.to_string()).unwrap();
    let client = client.resolver(Names::default().with("api.test", "127.0.0.1"));
    let toml = format!("[[grant]]\nhttp = {{ allow = ['https://api.test:{port}'], {LOOPBACK} }}");
    let host = host_async(&toml, &Backends::new().http(client)).await;
    assert_eq!(get(&host, format!("https://api.test:{port}/")).await.unwrap()["body"], "safe");
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_come_from_the_machine_or_a_file_that_the_environment_names() {
    let certificate = rcgen::generate_simple_self_signed(["api.test".into()]).unwrap();
    let server = Server::behind(Some(acceptor(&certificate)), |_| answer("200 OK", "", "safe")).await;
    let folder = tempfile::tempdir().unwrap();
    let [good, empty] = ["good.pem", "empty.pem"].map(|name| folder.path().join(name));
    let encoded = base64::engine::general_purpose::STANDARD.encode(certificate.cert.der());
    std::fs::write(&good, format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n"))
        .unwrap();
    std::fs::write(&empty, "").unwrap();
    for (file, passes) in [(good, true), (empty, false)] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "requests::a_child_asks_over_tls"]);
        child.env(CHILD, server.port.to_string()).env("SSL_CERT_FILE", file).env_remove("SSL_CERT_DIR");
        let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(text.contains("1 passed"), passes, "{text}");
        assert!(
            passes || text.contains("the machine has no certificate authorities; install them"),
            "{text}"
        );
    }
    assert_eq!(server.requests().len(), 1);
}
