//! Asks the service over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::*;

const RUST: &[u8] = include_bytes!("../../../../guests/built/rust.wasm");
const C: &[u8] = include_bytes!("../../../../guests/built/c.wasm");

/// Sends a request, and returns the status and the whole answer.
fn ask(address: SocketAddr, request: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_refuses_replaces_and_counts() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let pool = pool(&Module::new(RUST).unwrap()).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = axum::serve(listener, routes(Service { pool: pool.clone(), metrics }));
    tokio::spawn(served.into_future());

    tokio::task::spawn_blocking(move || {
        let ends = |request: &str, body: &[u8], expected: (u16, &str)| {
            let (status, answer) = ask(address, request, body);
            assert_eq!(status, expected.0, "{request}: {answer}");
            assert!(answer.ends_with(expected.1), "{request}: {answer}");
            answer
        };
        ends("POST /echo", b"hello", (200, "\r\n\r\nhello"));
        ends("POST /host", b"hello", (200, "\r\n\r\nthe host heard hello"));
        let unknown = ends("POST /nothing", b"", (422, "\n"));
        assert!(unknown.contains("\r\n\r\nguest_failed: Guest call failure: "), "{unknown}");
        ends("POST /echo", &[0; (64 << 10) + 1], (413, ""));

        let refused = ends("PUT /module", b"no module", (409, "\n"));
        assert!(refused.contains("\r\n\r\nreplace_failed: "), "{refused}");
        ends("POST /echo", b"still here", (200, "\r\n\r\nstill here"));
        ends("PUT /module", C, (200, "version 2 serves\n"));
        ends("POST /echo", b"hello", (200, "\r\n\r\nhello"));

        let metrics = ends("GET /metrics", b"", (200, "\n"));
        for line in [
            r#"antiphon_pool_calls_total{pool="service",outcome="ok"} 4"#,
            r#"antiphon_pool_calls_total{pool="service",outcome="guest_failed"} 1"#,
            r#"antiphon_pool_replacements_total{pool="service"} 1"#,
        ] {
            assert!(metrics.contains(line), "{line} is missing in {metrics}");
        }
    })
    .await
    .unwrap();
    let drained = pool.drain(Duration::from_secs(10)).await;
    assert_eq!((drained.running, drained.queued), (0, 0));
}
